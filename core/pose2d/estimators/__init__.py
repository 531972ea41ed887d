"""Runners of 2D pose models, one per model family, imported on first use through `core.pose2d.estimator.ESTIMATORS`."""
