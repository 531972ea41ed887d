"""Use cases that derive takes from takes."""
