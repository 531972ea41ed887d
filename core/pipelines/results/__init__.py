"""Use cases on existing results."""
