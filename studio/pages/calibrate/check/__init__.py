"""Check step of the Calibrate page."""
