"""Rendering of people in a room with exact ground truth, by a software rasteriser with lens distortion."""
