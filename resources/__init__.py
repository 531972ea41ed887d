"""What ships with the program: weights, sample footage, default configs, theme. Found through `core.files.resource`."""
