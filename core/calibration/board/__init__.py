"""Calibration of a camera rig from recordings of a board."""
