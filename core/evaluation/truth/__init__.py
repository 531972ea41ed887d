"""A user's own ground truth: reading marker files, aligning them with a take, and scoring methods against them."""
