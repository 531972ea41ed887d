"""Metrics of 3D people: against ground truth, and by leave-one-camera-out without any."""
