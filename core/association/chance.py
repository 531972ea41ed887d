"""Chance agreement: number of people that association finds in frame sets of unrelated images.

This estimates false positives without labels. All people found in randomly composed frame sets are ghosts, so a setting
that finds more people both there and in real frame sets gains recall at the cost of ghosts.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from core.association.bias import camera_biases, widen_gates
from core.association.config import AssociationConfig
from core.association.match import match_take
from core.association.views import TakeViews, stack_views
from core.errors import CoreError
from core.progress import Reporter
from core.types.arrays import I64
from core.types.camera import CameraRig
from core.types.pose2d import Pose2D


def people_by_chance(
    rig: CameraRig,
    poses2d: Mapping[str, Pose2D],
    config: AssociationConfig,
    rng: np.random.Generator,
    reporter: Reporter,
    n_frames: int | None = None,
) -> float:
    """Return the mean number of people per frame set if every camera shows a different random frame.

    People who stay in place or return to it still agree, so compare methods on the same footage and frames.

    Args:
        rig: V posed cameras.
        poses2d: Detections by camera name, all of the same length and skeleton.
        config: Settings of the association.
        rng: Generator that draws the frames.
        reporter: Receives progress and cancels.
        n_frames: Number of frame sets; if None, that of the take.

    Raises:
        CoreError: The take has fewer frames than there are cameras, or the 2D poses do not match the rig.
    """
    views = stack_views(rig, poses2d, config)
    T, V = views.weight.shape[:2]
    if T < V:
        raise CoreError(
            f"{T} frames are too few to give each of {V} cameras another one.", "Use a take with more frames."
        )
    # Gates come from the original frame sets.
    matched = match_take(views, _apart(T, config), config, reporter)
    views = widen_gates(views, camera_biases(views, matched), config)
    frames = np.stack([rng.permutation(T)[:V] for _ in range(n_frames or T)])
    members = match_take(_shuffle(views, frames), _apart(len(frames), config), config, reporter)
    return float(((members >= 0).any(-1)).sum(1).mean())


def _shuffle(views: TakeViews, frames: I64) -> TakeViews:
    """Return frame sets in which camera v shows frame `frames[:, v]`."""
    index = (frames, np.arange(frames.shape[1]))
    return TakeViews(
        geometry=views.geometry, ideal=views.ideal[index], weight=views.weight[index], focal_px=views.focal_px[index]
    )


def _apart(n: int, config: AssociationConfig) -> np.ndarray:
    """Return times (n,) so far apart that no person is expected from the previous frame set."""
    return 2.0 * (config.memory_s + 1.0) * np.arange(n)
