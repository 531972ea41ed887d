"""Use cases of running cameras."""
