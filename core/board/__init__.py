"""Calibration boards: patterns, printable sheets, detection and observations."""
