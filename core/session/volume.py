"""The capture volume that a session works in: as somebody set it, else derived from the rig and the people found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from core.errors import CoreError
from core.geometry.capture_volume import capture_volume, grid, seen_by
from core.session import BASELINE, Session
from core.types.arrays import F64
from core.types.camera import CameraRig
from core.types.volume import CaptureVolume, SyntheticRange, VolumeSettings

Origin = Literal["set", "people", "rig"]
_CHECK_MM = 200.0
_CHECK_POINTS = 30
"""Most points along an edge at which it is looked who sees the space."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ActiveVolume:
    """A session's capture volume, whoever decided on it.

    Attributes:
        origin: "set" by somebody; derived from the rig and the "people" of the baselines, or from the "rig" alone.
        chosen: Place, size and ranges; its `spacing_mm` is None where the settings of training decide.
        spacing_mm: Distance of voxels in the settings of training.
        space: The box and its voxels.
        seen_share: Of the box, what two cameras or more see.
        other_rig: Whether it was set for another calibration than the present one.
    """

    origin: Origin
    chosen: VolumeSettings
    spacing_mm: float
    volume: CaptureVolume
    seen_share: float
    other_rig: bool = False

    @property
    def pinned(self) -> VolumeSettings:
        """All of it in numbers: the same space comes out of them whatever changes in the session later."""
        return replace(self.chosen, spacing_mm=self.chosen.spacing_mm or self.spacing_mm)


def active_volume(session: Session, takes: Sequence[str], spacing_mm: float) -> ActiveVolume:
    """The capture volume of a training on these takes.

    Args:
        session: With a posed rig.
        takes: Names; those with a baseline say which cameras film and where people are, else it is the rig alone.
        spacing_mm: Distance of voxels, where nobody set another one.

    Raises:
        CoreError: There is no rig, a file is damaged, or no two cameras see the same part of the room.
    """
    known = [take for take in map(session.take, takes) if BASELINE in take.poses3d_runs()]
    rig = session.rig_for_all(known) if known else session.require_rig()
    chosen = session.volume
    if chosen is not None:
        volume = chosen.volume(spacing_mm)
        other = bool(chosen.rig) and chosen.rig != session.require_rig().digest
        seen = seen_share(rig, volume)
        return ActiveVolume(
            origin="set", chosen=chosen, spacing_mm=spacing_mm, volume=volume, seen_share=seen, other_rig=other
        )
    people: F64 = np.concatenate([np.zeros((0, 3)), *(t.poses3d(BASELINE).xyz_mm.reshape(-1, 3) for t in known)])
    around = people if np.isfinite(people).any() else None
    volume = capture_volume(rig, spacing_mm=spacing_mm, around_mm=around)
    return ActiveVolume(
        origin="rig" if around is None else "people",
        chosen=as_settings(volume),
        spacing_mm=spacing_mm,
        volume=volume,
        seen_share=seen_share(rig, volume),
    )


def as_settings(
    volume: CaptureVolume, spacing_mm: float | None = None, synthetic: SyntheticRange | None = None
) -> VolumeSettings:
    """A space that was worked out, as one that can be set and stored."""
    x, y, z = volume.centre_mm.tolist()
    width, depth, height = volume.size_mm.tolist()
    return VolumeSettings(
        centre_mm=(x, y, z),
        size_mm=(width, depth, height),
        spacing_mm=spacing_mm,
        synthetic=synthetic or SyntheticRange(),
    )


def set_volume(session: Session, chosen: VolumeSettings, spacing_mm: float) -> None:
    """Makes it the session's capture volume, for the calibration that it has now.

    Args:
        session: With a posed rig.
        chosen: To be stored.
        spacing_mm: Distance of voxels, where `chosen` sets none.

    Raises:
        CoreError: No two cameras see any of it, it has too many voxels, or the session cannot be written.
    """
    rig = session.require_rig()
    if seen_share(rig, chosen.volume(spacing_mm)) == 0:
        raise CoreError(
            "No two cameras see any of that capture volume.", "Its centre and size are in mm of the rig's world."
        )
    session.set_volume(replace(chosen, rig=rig.digest))


def seen_share(rig: CameraRig, volume: CaptureVolume) -> float:
    """Share of a space that two cameras or more see, 0..1."""
    spacing = max(_CHECK_MM, float(volume.size_mm.max()) / _CHECK_POINTS)
    return float((seen_by(rig, grid(volume.low_mm, volume.high_mm, spacing)).sum(0) >= 2).mean())
