"""What lies over the 3D view: legends, dividing lines, the pointer, ways to look."""
