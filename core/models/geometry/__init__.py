"""Differentiable geometry between the world, images, heatmaps and voxel volumes."""
