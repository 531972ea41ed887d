"""Takes: what was really recorded, and bringing in more."""
