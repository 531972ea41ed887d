"""Learned refinement of joints: within a frame and over time."""
