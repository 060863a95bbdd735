"""Digits in more forms than data sets have, and what is no digit, drawn from strokes."""

from digitflow.drawing.digits import draw_digits
from digitflow.drawing.outliers import draw_outliers

__all__ = ["draw_digits", "draw_outliers"]
