"""Initialisation of the bundle adjustment: intrinsics, poses and trajectory."""
