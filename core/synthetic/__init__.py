"""Synthetic rigs, people, motion and detections with exact ground truth."""
