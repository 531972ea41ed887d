"""Use cases that make takes of takes."""
