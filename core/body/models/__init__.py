"""Registry and readers of body models."""
