"""Widgets of live cameras: their images, facts and controls."""
