"""Verb `film`: rendering of people in 3D and over the videos to an MP4 file."""
