"""Use cases on the rig: calibration, world coordinates, export."""
