"""Exact ground truth made by ourselves: rigs, moving people, and what imperfect detectors would see of them."""
