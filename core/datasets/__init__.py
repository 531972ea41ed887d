"""Training data: images and heatmaps of takes, prepared as view batches."""
