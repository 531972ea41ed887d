"""Capture volume of a training run: that of its settings, or else of the session."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from core.config import to_mapping
from core.errors import CoreError
from core.progress import Reporter
from core.session import RunLayout, Session
from core.session.volume import active_volume, as_settings
from core.training.config import TrainConfig
from core.types.volume import CaptureVolume, SyntheticRange, VolumeSettings

_OTHER_RIG = "The capture volume was set for another calibration: check that it still fits (Train page, or 'volume')."


def pinned_volume(
    session: Session, takes: Sequence[str], config: TrainConfig, run: RunLayout, reporter: Reporter
) -> VolumeSettings:
    """Return the capture volume of a run, which is fixed at its first start so that resuming is exact.

    Raises:
        CoreError: See `training_volume`, or the file of the run is damaged.
    """
    if run.volume.exists():
        return VolumeSettings.load(run.volume)
    chosen = training_volume(session, takes, config, reporter)
    chosen.save(run.volume)
    return chosen


def training_volume(session: Session, takes: Sequence[str], config: TrainConfig, reporter: Reporter) -> VolumeSettings:
    """Return the capture volume of a new training run, with all values resolved.

    Raises:
        CoreError: The session has no rig, or no two cameras see any of the volume.
    """
    spacing_mm = config.model.root.spacing_mm
    synthetic = SyntheticRange(
        side_share=config.root.side_share, lowest_mm=config.root.lowest_mm, highest_mm=config.root.highest_mm
    )
    if config.volume_mm:
        low, high = np.array(config.volume_mm[:3]), np.array(config.volume_mm[3:])
        return as_settings(CaptureVolume.between(low, high, spacing_mm), spacing_mm, synthetic)
    used = active_volume(session, takes, spacing_mm)
    if not used.seen_share:
        raise CoreError("No two cameras see any of the capture volume.", "Reset it (Train page, or 'volume --reset').")
    if used.other_rig:
        reporter.note(_OTHER_RIG, "warning")
    return used.pinned if used.origin == "set" else dataclasses.replace(used.pinned, synthetic=synthetic)


def with_volume(config: TrainConfig, chosen: VolumeSettings) -> TrainConfig:
    """Return training settings with a capture volume."""
    spacing_mm = chosen.spacing_mm or config.model.root.spacing_mm
    volume = chosen.volume(spacing_mm)
    root = dataclasses.replace(config.model.root, spacing_mm=spacing_mm)
    return dataclasses.replace(
        config,
        volume_mm=(*volume.low_mm.tolist(), *volume.high_mm.tolist()),
        model=dataclasses.replace(config.model, root=root),
        root=dataclasses.replace(config.root, **to_mapping(chosen.synthetic)),
    )
