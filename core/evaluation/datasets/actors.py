"""Shelf and Campus in the layout of VoxelPose.

`actorsGT.mat`: actors in 14 joints, metres; `calibration_shelf.json`; optionally `Camera0/img_000300.png` and so on,
and `pred_shelf_maskrcnn_hrnet_coco.pkl`: 2D poses in COCO-17 joints.

Legend: F annotated frame, T chosen frame, A actor, J joint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.documents.pickles import read_pickle
from core.errors import CoreError
from core.evaluation.datasets.dataset import (
    REMEDY,
    DataSet,
    DataSetReader,
    Selection,
    annotated_sequence,
    find_file,
    find_images,
)
from core.pose2d.importers.people import stack_people
from core.rig_io.importers import read_rig
from core.types.arrays import F64, I64
from core.types.camera import CameraRig
from core.types.pose2d import Pose2D
from core.types.skeleton import COCO17, SHELF14

ESTIMATOR = "maskrcnn_hrnet"
_MM_PER_M = 1000.0
_FPS = 25.0


@dataclass(frozen=True, slots=True)
class _Layout:
    """Layout of one of the two: image size, and the first and last test frame of each interval."""

    kind: str
    size_px: tuple[int, int]
    tested: tuple[tuple[int, int], ...]

    @property
    def calibration(self) -> str:
        return f"calibration_{self.kind}.json"

    @property
    def poses2d(self) -> str:
        return f"pred_{self.kind}_maskrcnn_hrnet_coco.pkl"

    def recognises(self, folder: Path) -> bool:
        return (folder / self.calibration).is_file()

    def read(self, folder: Path, selection: Selection) -> DataSet:
        rig = self._rig(folder, selection.cameras)
        actors = _actors(find_file(folder, "actorsGT.mat"))
        tested = np.zeros(len(actors), bool)
        for first, last in self.tested:
            if last >= len(actors):
                raise CoreError(f"actorsGT.mat has {len(actors)} frames; {last + 1} are needed.", REMEDY)
            tested[first : last + 1] = True
        frames = np.flatnonzero({"test": tested, "train": ~tested, "all": np.ones_like(tested)}[selection.split])
        xyz = actors[frames]
        images, notes = find_images(rig, frames, lambda name: folder / f"Camera{name}")
        poses2d = self._poses2d(folder, rig, frames)
        return DataSet(
            kind=self.kind,
            name=folder.name,
            rig=rig,
            frames=frames,
            tested=tested[frames],
            truth=annotated_sequence(
                SHELF14, frames, _FPS, xyz, np.ones(xyz.shape[:-1]), tuple(range(1, xyz.shape[1] + 1))
            ),
            fps=_FPS,
            images=images,
            poses2d=poses2d,
            estimator=ESTIMATOR if poses2d else "",
            notes=tuple(notes),
        )

    def _rig(self, folder: Path, cameras: tuple[str, ...]) -> CameraRig:
        rig = read_rig(find_file(folder, self.calibration, "calibration_*.json"), "voxelpose")
        missing = [name for name in cameras if name not in rig.names]
        if missing:
            raise CoreError(f"{folder.name} has no camera {missing[0]}.", f"Its cameras: {', '.join(rig.names)}.")
        chosen = rig.subset(cameras or rig.names)
        # The file lacks the image size, which is the same for all cameras.
        return CameraRig(
            cameras=tuple(c.replace(size_px=self.size_px) for c in chosen), created=rig.created, source=rig.source
        )

    def _poses2d(self, folder: Path, rig: CameraRig, frames: I64) -> dict[str, Pose2D]:
        path = folder / self.poses2d
        if not path.is_file():
            return {}
        found = read_pickle(path)
        if not isinstance(found, Mapping):
            raise CoreError(f"{path.name} is not a mapping of images to people.", REMEDY)
        people_of = {name: [_people(found.get(f"{name}_{f}", ()), path) for f in frames.tolist()] for name in rig.names}
        return {name: stack_people(name, COCO17, people) for name, people in people_of.items()}


def _people(value: Any, path: Path) -> list[F64]:
    """Return the people of one image, each (17, 3) x, y, score; the score is 1 where the file has none."""
    people = []
    try:
        for person in value:
            joints = np.asarray(person["pred"] if isinstance(person, Mapping) else person, float)
            if joints.shape not in ((17, 2), (17, 3)):
                raise ValueError(f"a person of shape {joints.shape}")
            people.append(np.concatenate([joints, np.ones((17, 1))], 1)[:, :3])
    except (KeyError, TypeError, ValueError) as error:
        raise CoreError(f"{path.name} contains people without 17 joints: {error}.", REMEDY) from error
    return people


def _actors(path: Path) -> F64:
    """Read the joints (F, A, 14, 3) in mm, NaN where an actor is absent."""
    from scipy.io import loadmat

    try:
        cells = loadmat(path)["actor3D"]
        columns = [_actor(actor) for actor in _unwrapped(cells, 2).ravel()]
    except Exception as error:
        raise CoreError(f"{path.name} does not contain actors: {error}.", REMEDY) from error
    length = min(map(len, columns), default=0)
    if not length:
        raise CoreError(f"{path.name} has no frames of actors.", REMEDY)
    return _MM_PER_M * np.stack([column[:length] for column in columns], 1)


def _unwrapped(cells: Any, depth: int) -> np.ndarray:
    """Strip cell arrays of one element from around a cell array whose numbers lie `depth` levels deep."""
    array = np.asarray(cells)
    while array.size == 1 and _depth(array) > depth:
        array = np.asarray(array.ravel()[0])
    return array


def _depth(cells: Any) -> int:
    array = np.asarray(cells)
    return 1 + _depth(array.ravel()[0]) if array.dtype == object and array.size else 0


def _actor(cells: Any) -> F64:
    """Return the joints (F, 14, 3) of one actor in metres, NaN in frames without them."""
    frames = _unwrapped(cells, 1).ravel()
    out = np.full((len(frames), len(SHELF14), 3), np.nan)
    for f, cell in enumerate(frames):
        values = np.asarray(cell)
        while values.dtype == object and values.size == 1:
            values = np.asarray(values.ravel()[0])
        if values.size > 1:  # An absent actor is an empty cell, or a single NaN.
            out[f] = np.asarray(values, float).reshape(len(SHELF14), 3)
    return out


_SHELF = _Layout("shelf", (1032, 776), ((300, 600),))
_CAMPUS = _Layout("campus", (360, 288), ((350, 470), (650, 750)))
SHELF = DataSetReader(name="shelf", title="Shelf", recognises=_SHELF.recognises, read=_SHELF.read)
CAMPUS = DataSetReader(name="campus", title="Campus", recognises=_CAMPUS.recognises, read=_CAMPUS.read)
