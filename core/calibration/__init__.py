"""Calibration of rigs from a board or from people, plausibility checks, and world coordinates."""
