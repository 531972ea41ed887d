"""Joints in the 3D view: their motion, picking, and graphs."""
