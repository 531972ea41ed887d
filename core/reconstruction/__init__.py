"""From 2D poses to 3D people over time: triangulation and trained networks behind one protocol."""
