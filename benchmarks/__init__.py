"""Measurements: models, speed, exposure, recovery."""
