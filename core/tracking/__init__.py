"""Identity over time, plausibility filters and smoothing of 3D people."""
