"""The capture space that a session works in: as somebody set it, else derived from the rig and the people found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from core.errors import CoreError
from core.geometry.capture_volume import capture_space, grid, seen_by
from core.session import BASELINE, Session
from core.types.arrays import F64
from core.types.camera import CameraRig
from core.types.volume import CaptureSpace, ChosenSpace, SyntheticRange

Origin = Literal["set", "people", "rig"]
_CHECK_MM = 200.0
_CHECK_POINTS = 30
"""Most points along an edge at which it is looked who sees the space."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SpaceInUse:
    """A session's capture space, whoever decided on it.

    Attributes:
        origin: "set" by somebody; derived from the rig and the "people" of the baselines, or from the "rig" alone.
        chosen: Place, size and ranges; its `spacing_mm` is None where the settings of training decide.
        spacing_mm: Distance of voxels in the settings of training.
        space: The box and its voxels.
        seen_share: Of the box, what two cameras or more see.
        other_rig: Whether it was set for another calibration than the present one.
    """

    origin: Origin
    chosen: ChosenSpace
    spacing_mm: float
    space: CaptureSpace
    seen_share: float
    other_rig: bool = False

    @property
    def pinned(self) -> ChosenSpace:
        """All of it in numbers: the same space comes out of them whatever changes in the session later."""
        return replace(self.chosen, spacing_mm=self.chosen.spacing_mm or self.spacing_mm)


def space_in_use(session: Session, takes: Sequence[str], spacing_mm: float) -> SpaceInUse:
    """The capture space of a training on these takes.

    Args:
        session: With a posed rig.
        takes: Names; those with a baseline say which cameras film and where people are, else it is the rig alone.
        spacing_mm: Distance of voxels, where nobody set another one.

    Raises:
        CoreError: There is no rig, a file is damaged, or no two cameras see the same part of the room.
    """
    known = [take for take in map(session.take, takes) if BASELINE in take.poses3d_runs()]
    rig = session.rig_for_all(known) if known else session.require_rig()
    chosen = session.space
    if chosen is not None:
        space = chosen.space(spacing_mm)
        other = bool(chosen.rig) and chosen.rig != session.require_rig().digest
        seen = seen_share(rig, space)
        return SpaceInUse(
            origin="set", chosen=chosen, spacing_mm=spacing_mm, space=space, seen_share=seen, other_rig=other
        )
    people: F64 = np.concatenate([np.zeros((0, 3)), *(t.poses3d(BASELINE).xyz_mm.reshape(-1, 3) for t in known)])
    around = people if np.isfinite(people).any() else None
    space = capture_space(rig, spacing_mm=spacing_mm, around_mm=around)
    return SpaceInUse(
        origin="rig" if around is None else "people",
        chosen=as_chosen(space),
        spacing_mm=spacing_mm,
        space=space,
        seen_share=seen_share(rig, space),
    )


def as_chosen(
    space: CaptureSpace, spacing_mm: float | None = None, synthetic: SyntheticRange | None = None
) -> ChosenSpace:
    """A space that was worked out, as one that can be set and stored."""
    x, y, z = space.centre_mm.tolist()
    width, depth, height = space.size_mm.tolist()
    return ChosenSpace(
        centre_mm=(x, y, z),
        size_mm=(width, depth, height),
        spacing_mm=spacing_mm,
        synthetic=synthetic or SyntheticRange(),
    )


def set_space(session: Session, chosen: ChosenSpace, spacing_mm: float) -> None:
    """Makes it the session's capture space, for the calibration that it has now.

    Args:
        session: With a posed rig.
        chosen: To be stored.
        spacing_mm: Distance of voxels, where `chosen` sets none.

    Raises:
        CoreError: No two cameras see any of it, it has too many voxels, or the session cannot be written.
    """
    rig = session.require_rig()
    if seen_share(rig, chosen.space(spacing_mm)) == 0:
        raise CoreError(
            "No two cameras see any of that capture space.", "Its centre and size are in mm of the rig's world."
        )
    session.set_space(replace(chosen, rig=rig.digest))


def seen_share(rig: CameraRig, space: CaptureSpace) -> float:
    """Share of a space that two cameras or more see, 0..1."""
    spacing = max(_CHECK_MM, float(space.size_mm.max()) / _CHECK_POINTS)
    return float((seen_by(rig, grid(space.low_mm, space.high_mm, spacing)).sum(0) >= 2).mean())
