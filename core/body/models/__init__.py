"""Body models that can be loaded."""
