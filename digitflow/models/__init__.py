"""The model bundle on disk, the predictor that runs it, and which model is current.

Light: LiteRT and numpy only, so that scoring starts at once.
"""
