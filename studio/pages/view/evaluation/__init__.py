"""Evaluation of a take on the View page."""
