"""Initial values of the bundle adjustment: intrinsics, poses and trajectory."""
