"""Rigs of other tools, and whether a rig can be right. Calibrating itself lives here too."""
