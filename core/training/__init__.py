"""Training: stages, losses, synthetic data, and the training loop."""
