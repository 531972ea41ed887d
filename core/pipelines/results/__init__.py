"""Use cases on results that exist."""
