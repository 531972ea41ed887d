"""Verb `film`: people in 3D and over the videos, as an MP4 file."""
