"""Overlays and interaction of the 3D view: legends, dividing lines, pointer and view modes."""
