"""Reconstruction of tracked 3D people from 2D poses, by triangulation or trained networks with one protocol."""
