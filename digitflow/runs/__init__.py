"""The record of every run: what it was given, what it did, what came of it.

A run's folder in `reports/` holds it as `run.json`; no server is needed to read it. Light.
"""
