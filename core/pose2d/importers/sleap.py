"""Results of SLEAP: analysis HDF5, with arrays over tracks and frames, and analysis CSV."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.errors import CoreError
from core.pose2d.importers.importer import CameraPeople, Pose2DImporter
from core.pose2d.importers.table import IMPORTER as TABLE
from core.types.arrays import F64

_REMEDY = "Export it again in SLEAP with File, Export Analysis HDF5."


def _accepts_csv(rows: Sequence[Sequence[str]]) -> bool:
    return bool(rows) and {"track", "frame_idx", "instance.score"} <= {cell.strip() for cell in rows[0]}


def _read_csv(rows: Sequence[Sequence[str]], where: str) -> CameraPeople:
    keep = [column for column, name in enumerate(rows[0]) if name.strip() != "instance.score"]
    return TABLE.read([[row[c] if c < len(row) else "" for c in keep] for row in rows], where)


def _accepts_hdf5(file: object) -> bool:
    names = getattr(file, "names", ())
    return "tracks" in names and "node_names" in names


def _read_hdf5(file: object, where: str) -> CameraPeople:
    tracks = file.array("tracks")  # type: ignore[attr-defined]
    joints = tuple(file.texts("node_names"))  # type: ignore[attr-defined]
    J = len(joints)
    if tracks.ndim != 4 or tracks.shape[1:3] not in ((2, J), (J, 2)):
        raise CoreError(f"{where}: tracks have shape {tracks.shape}, expected (tracks, 2, {J}, frames).", _REMEDY)
    xy = tracks if tracks.shape[1] == 2 and tracks.shape[2] == J else tracks.transpose(0, 2, 1, 3)
    score = np.ones((len(xy), J, xy.shape[3]))
    if "point_scores" in getattr(file, "names", ()):
        stated = file.array("point_scores")  # type: ignore[attr-defined]
        if stated.shape != score.shape:
            raise CoreError(f"{where}: point_scores have shape {stated.shape}, expected {score.shape}.", _REMEDY)
        score = stated
    people: dict[int, list[F64]] = {}
    values = np.concatenate([xy, score[:, None]], 1).transpose(3, 0, 2, 1)  # (T, P, J, 3)
    for t, frame in enumerate(values):
        people[t] = [np.asarray(p, float) for p in frame if np.isfinite(p[:, :2]).any()]
    return CameraPeople(people=people, joints=joints)


CSV = Pose2DImporter(
    name="sleap-csv", title="SLEAP (analysis CSV)", container="table", accepts=_accepts_csv, read=_read_csv
)
HDF5 = Pose2DImporter(
    name="sleap-hdf5", title="SLEAP (analysis HDF5)", container="hdf5", accepts=_accepts_hdf5, read=_read_hdf5
)
