"""Export formats, one module each, imported on first use."""
