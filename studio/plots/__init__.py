"""Plots: losses, errors over time, expected accuracy over the floor."""
