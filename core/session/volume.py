"""Active capture volume of a session: set by the user, or derived from rig and people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from core.errors import CoreError
from core.geometry.capture_volume import capture_volume, grid, seen_by
from core.session import BASELINE, Session
from core.session.inputs import has_present_rig
from core.types.arrays import F64
from core.types.camera import CameraRig
from core.types.volume import CaptureVolume, SyntheticRange, VolumeSettings

Origin = Literal["set", "people", "rig"]
_CHECK_SPACING_MM = 200.0  # of the points for the visibility check
_MAX_CHECK_POINTS = 30  # per edge


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ActiveVolume:
    """Active capture volume of a session.

    Attributes:
        origin: Origin of the volume: "set" by the user, or derived from the "people" of the baselines or the "rig".
        chosen: Centre, size and ranges; `spacing_mm` is None if the training settings determine it.
        spacing_mm: Voxel spacing in the training settings.
        volume: Box and voxels.
        seen_share: Fraction of the box seen by at least two cameras.
        other_rig: True if it was set for another calibration.
    """

    origin: Origin
    chosen: VolumeSettings
    spacing_mm: float
    volume: CaptureVolume
    seen_share: float
    other_rig: bool = False

    @property
    def pinned(self) -> VolumeSettings:
        """Settings with all values fixed, independent of later changes of the session."""
        return replace(self.chosen, spacing_mm=self.chosen.spacing_mm or self.spacing_mm)


def active_volume(session: Session, takes: Sequence[str], spacing_mm: float) -> ActiveVolume:
    """Return the capture volume for training on some takes.

    Args:
        session: Session with a calibrated rig.
        takes: Names of the takes. Those with a baseline of the current calibration determine the volume by their
            cameras and people; without any, only the rig counts.
        spacing_mm: Voxel spacing unless the user has set one.

    Raises:
        CoreError: There is no rig, a file is damaged, or no fields of view overlap.
    """
    triangulated = [take for take in map(session.take, takes) if BASELINE in take.poses3d_runs()]
    # People of a former calibration may be anywhere.
    known = [take for take in triangulated if has_present_rig(session, take, BASELINE)]
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
    """Return a derived capture volume as settings that can be stored."""
    x, y, z = volume.centre_mm.tolist()
    width, depth, height = volume.size_mm.tolist()
    return VolumeSettings(
        centre_mm=(x, y, z),
        size_mm=(width, depth, height),
        spacing_mm=spacing_mm,
        synthetic=synthetic or SyntheticRange(),
    )


def set_volume(session: Session, chosen: VolumeSettings, spacing_mm: float) -> None:
    """Set the capture volume of a session for its current calibration.

    Args:
        session: Session with a calibrated rig.
        chosen: Settings to store.
        spacing_mm: Voxel spacing, if `chosen` has none.

    Raises:
        CoreError: No two cameras see any part of it, it has too many voxels, or the session cannot be written.
    """
    rig = session.require_rig()
    if seen_share(rig, chosen.volume(spacing_mm)) == 0:
        raise CoreError(
            "No two cameras see any part of this capture volume.",
            "Its centre and size are in mm, in world coordinates.",
        )
    session.set_volume(replace(chosen, rig=rig.digest))


def seen_share(rig: CameraRig, volume: CaptureVolume) -> float:
    """Return the fraction of a volume seen by at least two cameras."""
    spacing = max(_CHECK_SPACING_MM, float(volume.size_mm.max()) / _MAX_CHECK_POINTS)
    return float((seen_by(rig, grid(volume.low_mm, volume.high_mm, spacing)).sum(0) >= 2).mean())
