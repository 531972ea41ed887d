"""Projects of SLEAP (`.slp`): HDF5 with tables of frames, instances and points, of one video or several.

Layout as in sleap-io (talmolab/sleap-io, `sleap_io/io/slp.py`): frames state a range of instances, instances a range of
points, and the names are in JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PureWindowsPath
from typing import Any

import numpy as np

from core.documents.hdf5 import Hdf5Document
from core.documents.syntax import parse_json
from core.errors import CoreError
from core.pose2d.importers.importer import CameraPeople, Pose2DImporter
from core.types.arrays import F64

_TABLES = {
    "frames": ("video", "frame_idx", "instance_id_start", "instance_id_end"),
    "instances": ("instance_type", "skeleton", "track", "from_predicted", "point_id_start", "point_id_end"),
    "points": ("x", "y", "visible"),
    "pred_points": ("x", "y", "visible", "score"),
}
_USER = 0  # type of an instance that a person labelled or corrected
_PIXEL_CENTRES = 1.1  # format from which (0, 0) is the centre of the first pixel; before, it was its corner
_REMEDY = "Save the project again in SLEAP, or export it with File, Export Analysis HDF5."


@dataclass(frozen=True, slots=True)
class SleapVideo:
    """One video of a project.

    Attributes:
        file: The project.
        video: Number of the video in it.
    """

    file: Hdf5Document
    video: int


def project_videos(file: Hdf5Document) -> dict[int, str]:
    """Return the videos of a project that have labelled frames, and their names without folder and suffix.

    Raises:
        CoreError: The project is damaged.
    """
    names = []
    for text in file.texts("videos_json") if "videos_json" in file else []:
        video = parse_json(text, file.where)
        backend = video.get("backend") if isinstance(video, dict) else None
        stated = video.get("filename") or (backend.get("filename") if isinstance(backend, dict) else "")
        stated = stated[0] if isinstance(stated, list) and stated else stated
        names.append(PureWindowsPath(str(stated)).stem)
    used = np.unique(_table(file, "frames")["video"]).tolist()
    return {int(n): (names[n] if 0 <= n < len(names) else "") or f"video {n}" for n in used}


def _table(file: Hdf5Document, name: str) -> np.ndarray:
    table = file.array(name)
    missing = [column for column in _TABLES[name] if column not in (table.dtype.names or ())]
    if missing:
        raise CoreError(f"{file.where}: {name} has no {missing[0]}.", _REMEDY)
    return table.ravel()


def _accepts(content: object) -> bool:
    return isinstance(content, SleapVideo)


def _read(content: Any, where: str) -> CameraPeople:
    file = content.file
    frames, instances = _table(file, "frames"), _table(file, "instances")
    frames = frames[frames["video"] == content.video]
    points = [_table(file, name) for name in ("points", "pred_points")]
    values = [_values(points[0], np.ones(len(points[0]))), _values(points[1], points[1]["score"])]
    if not file.number_attribute("metadata", "format_id") >= _PIXEL_CENTRES:
        for table in values:
            table[:, :2] -= 0.5
    ranges = [np.arange(int(f["instance_id_start"]), int(f["instance_id_end"])) for f in _bounded(frames, instances)]
    used = instances[np.concatenate(ranges)] if ranges else instances[:0]
    skeletons = np.unique(used["skeleton"])
    if len(skeletons) > 1:
        raise CoreError(f"{where} has people with {len(skeletons)} skeletons.", "Use one skeleton for all people.")
    joints = _joints(file, int(skeletons[0])) if len(skeletons) else ()
    people = {
        int(frame["frame_idx"]): [
            _person(values[int(instance["instance_type"] != _USER)], instance, len(joints), where)
            for instance in _shown(instances[rows], rows)
        ]
        for frame, rows in zip(frames, ranges, strict=True)
    }
    return CameraPeople(people=people, joints=joints)


def _values(points: np.ndarray, score: np.ndarray) -> F64:
    """Return positions and scores (N, 3), NaN and 0 where a point is not visible."""
    values = np.stack([points["x"], points["y"], score], -1).astype(float)
    hidden = ~points["visible"].astype(bool) | ~np.isfinite(values[:, :2]).all(-1)
    values[hidden] = [np.nan, np.nan, 0.0]
    return values


def _bounded(frames: np.ndarray, instances: np.ndarray) -> np.ndarray:
    """Return the frames, whose instances are all there.

    Raises:
        CoreError: A frame states instances that the project does not have, or more than there are in all.
    """
    first, end = (frames[name].astype(float) for name in ("instance_id_start", "instance_id_end"))
    if ((first < 0) | (end < first) | (end > len(instances))).any() or (end - first).sum() > len(instances):
        raise CoreError("The frames of the project state people that it does not have.", _REMEDY)
    return frames


def _shown(instances: np.ndarray, numbers: np.ndarray) -> list[np.void]:
    """Return the people of a frame: those that were corrected in place of the predictions that they replace."""
    user = instances["instance_type"] == _USER
    replaced = set(instances["from_predicted"][user].tolist())
    tracks = set(instances["track"][user & (instances["track"] >= 0)].tolist())
    return [
        instance
        for number, instance, by_user in zip(numbers.tolist(), instances, user, strict=True)
        if by_user or (number not in replaced and int(instance["track"]) not in tracks)
    ]


def _person(points: F64, instance: np.void, n_joints: int, where: str) -> F64:
    first, end = int(instance["point_id_start"]), int(instance["point_id_end"])
    if not 0 <= first <= end <= len(points) or end - first != n_joints:
        raise CoreError(f"{where}: a person has {end - first} points, expected {n_joints}.", _REMEDY)
    return points[first:end]


def _joints(file: Hdf5Document, number: int) -> tuple[str, ...]:
    """Return the names of the joints of a skeleton, in the order of the points."""
    metadata = parse_json(file.text_attribute("metadata", "json"), file.where)
    nodes = metadata["nodes"]
    return tuple(str(nodes[node["id"]]["name"]) for node in metadata["skeletons"][number]["nodes"])


IMPORTER = Pose2DImporter(
    name="sleap-project", title="SLEAP (project)", container="project", accepts=_accepts, read=_read
)
