"""How good a classifier is: labels and probabilities into numbers, pictures and a report.

Numbers come from `metrics`, `calibration`, `selection` and `comparison`, which load NumPy alone,
and from `corruptions`; `plots` draws figures, `page` renders a page of HTML, `report` writes all of
it into a folder, and `leaderboard` sets several recipes side by side. Nothing here knows how the
predictions were made.
"""
