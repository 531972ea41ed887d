"""Training: stages, losses, synthetic data, and the loop over them."""
