"""Calibration of a camera rig from people who walk through the capture volume."""
