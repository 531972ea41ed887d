"""What the networks read: images and heatmaps of takes, prepared as view batches."""
