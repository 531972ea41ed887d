"""Preview of a held-out frame, updated during training for the window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from core.datasets.footage import Footage
from core.models.networks import Networks
from core.models.scene import CaptureScene
from core.session import Take
from core.training.held_out_frame import HeldOutFrame
from core.training.validation import baseline_px, predicted_px
from core.types import CameraRig, Pose3DSequence
from core.types.arrays import I64


class HeldOutPreview:
    """Preview of the networks' people in a held-out image, in a file that each validation rewrites.

    The image is the one with the most labelled joints. No file is written if no held-out image has labels.

    Args:
        path: Path of the file.
        footage: Footage with held-out frames.
        takes: Takes of the footage.
        baselines: Triangulated people of each take.
    """

    def __init__(
        self, path: Path, footage: Footage, takes: Sequence[Take], baselines: Sequence[Pose3DSequence]
    ) -> None:
        self._path, self._footage = path, footage
        self._frame: HeldOutFrame | None = None
        images = [_images(take, footage.rig) for take in takes]
        labelled = footage.labels.weight[footage.held_out].sum((-2, -1)) * (
            np.concatenate(images)[footage.held_out] >= 0
        )  # (N, V)
        if not labelled.any():
            return
        at, self._view = (int(i) for i in np.unravel_index(int(labelled.argmax()), labelled.shape))
        self._row = int(footage.held_out[at])
        starts = np.cumsum([0, *map(len, images)])
        number = int(np.searchsorted(starts, self._row, side="right")) - 1
        t = int(self._row - starts[number])
        people = baseline_px(baselines[number], t, footage.rig, footage.inputs.skeleton)
        self._frame = HeldOutFrame(
            take=takes[number].name,
            camera=footage.rig.names[self._view],
            image=int(images[number][t, self._view]),
            skeleton=footage.inputs.skeleton.name,
            triangulated=tuple(people[self._view]),
        )

    def update(self, networks: Networks, scene: CaptureScene, step: int) -> None:
        """Write what networks in evaluation mode predict after a number of training steps."""
        if self._frame is None:
            return
        (people,) = predicted_px(networks, scene, self._footage, np.array([self._row]))
        predicted = tuple(people[self._view].double().numpy())
        replace(self._frame, predicted=predicted, step=step).save(self._path)


def _images(take: Take, rig: CameraRig) -> I64:
    """Return the index (T, V) of each frame's image in the videos of the rig's cameras, -1 where missing."""
    index = take.timeline().frame_index
    out = np.full((len(index), len(rig)), -1, np.int64)
    for v, name in enumerate(rig.names):
        if name in take.cameras:
            out[:, v] = index[:, take.cameras.index(name)]
    return out
