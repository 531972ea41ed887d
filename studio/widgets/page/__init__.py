"""Frames of pages: scrolling columns, steps, tabs, and the banner."""
