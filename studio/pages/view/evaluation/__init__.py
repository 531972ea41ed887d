"""Evaluation of a take beside its videos."""
