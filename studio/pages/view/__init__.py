"""View: the take in 3D and in the cameras' pictures, moment by moment."""
