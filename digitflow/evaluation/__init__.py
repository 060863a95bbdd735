"""How good a classifier is: labels and probabilities into numbers, pictures and a report.

`metrics` computes (NumPy alone, so that scoring may use its calibration), `plots` draws figures,
`page` renders a page of HTML and `report` writes all of it into a folder. Nothing here knows how
the predictions were made.
"""
