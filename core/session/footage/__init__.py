"""Footage that a take can be imported from, and images and streams as videos."""
