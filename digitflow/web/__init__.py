"""The REST API over the digit reader, and the page to draw on over the API."""
