"""Losses of the training stages; `core.training.losses.table` registers them."""
