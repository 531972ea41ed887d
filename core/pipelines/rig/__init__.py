"""Use cases on the rig: calibration, synchronisation, world coordinates and export."""
