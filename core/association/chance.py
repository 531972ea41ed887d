"""Agreement by chance: how many people association finds where no two cameras show the same moment.

A test without labels. People found in frame sets whose images belong together are real or ghosts; those found in frame
sets put together at random are ghosts, so that a setting which finds more of both has bought recall with ghosts.
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
    """Return the mean number of people per frame set where every camera shows another, random frame.

    People who keep their place, or return to it, agree in reality: compare methods on the same footage and frames.

    Args:
        rig: V posed cameras.
        poses2d: Detections by camera name, all of the same length and skeleton.
        config: Settings of the association.
        rng: Draws the frames.
        reporter: Receives progress and cancels.
        n_frames: Number of frame sets; that of the take when None.

    Raises:
        CoreError: The take has fewer frames than there are cameras, or the 2D poses do not match the rig.
    """
    views = stack_views(rig, poses2d, config)
    T, V = views.weight.shape[:2]
    if T < V:
        raise CoreError(
            f"{T} frames are too few to give each of {V} cameras another one.", "Use a take with more frames."
        )
    # The gates are those of the take in its true order.
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
    """Return times (n,) so far apart that nobody is expected from the frame set before."""
    return 2.0 * (config.memory_s + 1.0) * np.arange(n)
