"""CMU Panoptic in the layout of its toolbox.

`calibration_<sequence>.json`; `hdPose3d_stage1_coco19/body3DScene_<frame>.json`: bodies of 19 joints, of which
Panoptic-15 are the first, in centimetres with y down; `hdImgs/00_03/00_03_<frame>.jpg` or `hdVideos/hd_00_03.mp4`.

Legend: P person, J joint.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import CoreError
from core.evaluation.datasets.dataset import (
    REMEDY,
    DataSet,
    DataSetReader,
    Selection,
    annotated_sequence,
    find_file,
    find_images,
    numbered_files,
)
from core.files import read_json
from core.rig_io.importers import read_rig
from core.types.arrays import F64
from core.types.axes import rotation_to_z_up
from core.types.camera import CameraRig
from core.types.skeleton import PANOPTIC15

CAMERAS = ("00_03", "00_06", "00_12", "00_13", "00_23")
"""The five HD cameras that papers use."""

_EVERY = {"test": 12, "train": 3, "all": 1}
_FPS = 29.97
_VISIBLE = 0.1  # Joints of lower confidence do not count.
_BODIES = "hdPose3d_stage1_coco19"
_MM_PER_CM = 10.0
_TO_WORLD = _MM_PER_CM * rotation_to_z_up("-y").T
_Person = tuple[F64, F64]  # (J, 3) mm and (J,) confidence


def _recognises(folder: Path) -> bool:
    return (folder / _BODIES).is_dir()


def _read(folder: Path, selection: Selection) -> DataSet:
    files = numbered_files(folder / _BODIES, (".json",))
    if not files:
        raise CoreError(f"{folder.name} has no bodies in {_BODIES}.", f"Unpack {_BODIES}.tar in the sequence's folder.")
    rig = _rig(folder, selection.cameras)
    every = _EVERY[selection.split]
    numbers = sorted(files)[::every]
    people = [_people(files[number]) for number in numbers]
    tested = np.array([bool(some) and i * every % _EVERY["test"] == 0 for i, some in enumerate(people)])
    # As published: frames without people count neither in training nor in tests.
    kept = np.array([bool(some) or selection.split == "all" for some in people])
    if not any(people):
        raise CoreError(f"{folder.name} has no people in the selected frames.", REMEDY)
    frames = np.array(numbers, np.int64)[kept]
    xyz, score, ids = _stacked([some for some, keep in zip(people, kept, strict=True) if keep])
    images, notes = find_images(rig, frames, lambda name: folder / "hdImgs" / name)
    videos = {n: p for n in rig.names if n not in images and (p := folder / "hdVideos" / f"hd_{n}.mp4").is_file()}
    return DataSet(
        kind="panoptic",
        name=folder.name,
        rig=rig,
        frames=frames,
        tested=tested[kept],
        truth=annotated_sequence(PANOPTIC15, frames, _FPS, xyz, score, ids),
        fps=_FPS,
        images=images,
        videos=videos,
        notes=tuple(notes),
    )


def _rig(folder: Path, cameras: tuple[str, ...]) -> CameraRig:
    path = find_file(folder, f"calibration_{folder.name}.json", "calibration_*.json")
    rig = read_rig(path, "panoptic")
    wanted = cameras or CAMERAS
    missing = [name for name in wanted if name not in rig.names]
    if missing:
        raise CoreError(
            f"{path.name} has no camera {missing[0]}.",
            f"Choose cameras that it has, such as {', '.join(rig.names[:5])}.",
        )
    return rig.subset(wanted)


def _people(path: Path) -> dict[int, _Person]:
    """Read the bodies of one frame by id, without those whose mid-hip is not visible; invisible joints are NaN."""
    document = read_json(path)
    bodies = document.get("bodies") if isinstance(document, Mapping) else None
    if not isinstance(bodies, list):
        raise CoreError(f"{path.name} has no list of bodies.", REMEDY)
    people: dict[int, _Person] = {}
    for body in bodies:
        xyz, score = _body(body, path)
        if score[PANOPTIC15.index("mid_hip")] > 0:
            number = body.get("id")
            # An id that occurs twice in a frame belongs to two people.
            unique = number if isinstance(number, int) and number not in people else max(people, default=-1) + 1
            people[unique] = xyz, score
    return people


def _body(body: Any, path: Path) -> _Person:
    try:
        joints = np.asarray(body["joints19"], float).reshape(19, 4)[: len(PANOPTIC15)]
    except (KeyError, TypeError, ValueError) as error:
        raise CoreError(f"{path.name} has a body without 19 joints of x, y, z and confidence.", REMEDY) from error
    visible = (joints[:, 3] > _VISIBLE) & np.isfinite(joints).all(-1)
    xyz = np.where(visible[:, None], joints[:, :3] @ _TO_WORLD, np.nan)
    return xyz, np.where(visible, np.minimum(joints[:, 3], 1.0), 0.0)


def _stacked(people: list[dict[int, _Person]]) -> tuple[F64, F64, tuple[int, ...]]:
    """Return joints (T, P, J, 3), confidences (T, P, J), and the ids of the columns."""
    ids = sorted({number for some in people for number in some})
    xyz = np.full((len(people), len(ids), len(PANOPTIC15), 3), np.nan)
    score = np.zeros(xyz.shape[:-1])
    for t, some in enumerate(people):
        for number, person in some.items():
            xyz[t, ids.index(number)], score[t, ids.index(number)] = person
    return xyz, score, tuple(ids)


READER = DataSetReader(name="panoptic", title="CMU Panoptic, folder of a sequence", recognises=_recognises, read=_read)
