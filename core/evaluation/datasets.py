"""Truth of public data sets, read from the folders as their authors lay them out.

Nothing in a file is run: MATLAB files are read as arrays, and pickles not at all.

Legend: T frame, P person or actor, J joint.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat

from core.calibration.importers import read_rig
from core.errors import CoreError
from core.files import read_json
from core.registry import closest
from core.types.arrays import F64, I64
from core.types.camera import CameraRig
from core.types.skeleton import PANOPTIC15

_REMEDY = "Unpack the data set again and choose the folder that its authors named."
_PANOPTIC_FPS, _PANOPTIC_EVERY, _SEEN = 29.97, 12, 0.1
_PANOPTIC_TO_WORLD = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
"""x' = x, y' = z, z' = -y: their world has y down, ours z up."""
_SHELF_FRAMES = {"shelf": [(300, 601)], "campus": [(350, 471), (650, 751)]}
_SHELF_FPS = 25.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DataSet:
    """What predictions are compared with.

    Attributes:
        kind: "panoptic", "shelf" or "campus".
        rig: Its cameras, z up, mm.
        frames: (T,) numbers of the frames that count.
        truth_mm: (T, P, J, 3) in Panoptic-15 or Shelf-14 joints, NaN where missing. Columns of Shelf and Campus are
            actors.
        fps: Frames a second.
    """

    kind: str
    rig: CameraRig
    frames: I64
    truth_mm: F64
    fps: float


def read_dataset(folder: Path, kind: str) -> DataSet:
    """Reads a data set's test part.

    Args:
        folder: As published: a sequence of CMU Panoptic, or the folder of Shelf or Campus.
        kind: Name of a data set.

    Raises:
        CoreError: An unknown kind, a missing or damaged file, or nobody in it.
    """
    if kind not in READERS:
        raise CoreError(f"There is no data set named '{kind}'.", closest(kind, list(READERS)))
    if not folder.is_dir():
        raise CoreError(f"There is no folder {folder}.", _REMEDY)
    return READERS[kind](folder)


def _panoptic(folder: Path) -> DataSet:
    """CMU Panoptic's own layout: every twelfth frame of 3D bodies in 19 joints, of which ours are the first 15."""
    bodies = folder / "hdPose3d_stage1_coco19"
    files = {int(f.stem.rpartition("_")[2]): f for f in bodies.glob("body3DScene_*.json")}
    if not files:
        raise CoreError(f"{folder.name} has no bodies in {bodies.name}.", _REMEDY)
    rig = read_rig(_one(folder, "calibration_*.json"), "panoptic")
    frames, truth = [], []
    for number in sorted(files)[::_PANOPTIC_EVERY]:
        people = _bodies(files[number])
        if len(people):  # as published: frames without anybody do not count
            frames.append(number)
            truth.append(people)
    if not frames:
        raise CoreError(f"{folder.name} shows nobody.", _REMEDY)
    most = max(len(people) for people in truth)
    padded = [
        np.concatenate([p, np.full((most - len(p), len(PANOPTIC15), 3), np.nan)]) if len(p) < most else p for p in truth
    ]
    return DataSet(kind="panoptic", rig=rig, frames=np.array(frames), truth_mm=np.stack(padded), fps=_PANOPTIC_FPS)


def _bodies(path: Path) -> F64:
    """People (P, 15, 3) mm of one file; unseen joints are NaN, and people without a mid-hip are left out."""
    document = read_json(path)
    try:
        joints = [np.asarray(body["joints19"], float).reshape(-1, 4) for body in document["bodies"]]
    except (KeyError, TypeError, ValueError) as error:
        raise CoreError(f"{path.name} does not hold bodies: {error}.", _REMEDY) from error
    if any(len(j) < len(PANOPTIC15) for j in joints):
        raise CoreError(f"{path.name} has bodies of too few joints.", _REMEDY)
    if not joints:
        return np.zeros((0, len(PANOPTIC15), 3))
    found = np.stack([j[: len(PANOPTIC15)] for j in joints])
    xyz = 10 * found[..., :3] @ _PANOPTIC_TO_WORLD.T
    xyz[found[..., 3] <= _SEEN] = np.nan
    return np.asarray(xyz[np.isfinite(xyz[:, PANOPTIC15.index("mid_hip")]).all(-1)])


def _actors(kind: str) -> Callable[[Path], DataSet]:
    def read(folder: Path) -> DataSet:
        """Shelf and Campus: `actorsGT.mat` in metres, cameras as VoxelPose keeps them."""
        rig = read_rig(_one(folder, "calibration_*.json"), "voxelpose")
        path = _one(folder, "actorsGT.mat")
        try:
            actors = loadmat(path)["actor3D"][0, 0]
            actors = actors[0] if actors.dtype == object and actors.ndim == 2 else actors
            columns = [_actor(actor) for actor in actors]
        except (KeyError, IndexError, TypeError, ValueError, OSError, NotImplementedError) as error:
            raise CoreError(f"{path.name} does not hold actors: {error}.", _REMEDY) from error
        frames = np.concatenate([np.arange(a, b) for a, b in _SHELF_FRAMES[kind]])
        length = min(len(column) for column in columns)
        if length <= frames[-1]:
            raise CoreError(f"{path.name} has {length} frames; {frames[-1] + 1} are needed.", _REMEDY)
        truth = 1000 * np.stack([column[frames] for column in columns], 1)
        return DataSet(kind=kind, rig=rig, frames=frames, truth_mm=truth, fps=_SHELF_FPS)

    return read


def _actor(cells: Any) -> F64:
    """(F, 14, 3) metres of one actor, NaN in frames without them."""
    frames = np.asarray(cells).ravel()
    while len(frames) == 1 and np.asarray(frames[0]).dtype == object:
        frames = np.asarray(frames[0]).ravel()
    out = np.full((len(frames), 14, 3), np.nan)
    for f, cell in enumerate(frames):
        values = np.asarray(cell)
        while values.dtype == object and values.size == 1:
            values = np.asarray(values.ravel()[0])
        if values.shape == (14, 3):
            out[f] = values
    return out


def _one(folder: Path, pattern: str) -> Path:
    """The file of that name in a folder."""
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise CoreError(f"{folder.name} has {len(found)} files named {pattern}; one is needed.", _REMEDY)
    return found[0]


READERS: dict[str, Callable[[Path], DataSet]] = {
    "panoptic": _panoptic,
    "shelf": _actors("shelf"),
    "campus": _actors("campus"),
}
"""Kind to reader."""
