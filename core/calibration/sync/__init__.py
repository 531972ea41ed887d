"""Sync certificates: how the images of a take, not its clocks, say that the cameras ran."""
