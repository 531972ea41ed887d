"""Verb `evaluate-dataset`: 3D poses against a public data set's truth, by its protocol, beside published figures."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import CoreError
from core.evaluation import published
from core.evaluation.datasets import DataSet, read_dataset
from core.evaluation.metrics import accuracy
from core.evaluation.shelf import part_score, to_shelf14
from core.files import write_json
from core.pipelines.params import EvaluateDatasetParams
from core.progress import Reporter
from core.session import RunLayout, Session
from core.types.pose3d import Pose3DSequence
from core.types.skeleton import PANOPTIC15, convert

Row = tuple[float | None, ...]


def evaluate_dataset(
    session: Session, params: EvaluateDatasetParams, run: RunLayout, reporter: Reporter
) -> dict[str, Any]:
    """Compares a stored 3D result of a take with the truth and prints a table.

    Returns:
        `columns`, `ours` and `published` (name to figures), `frames`, `file` (of the same as JSON).

    Raises:
        CoreError: No such take, result or data set, or the result has not one moment for every frame.
    """
    if not params.folder:
        raise CoreError("The data set's folder is not given.", "Name it with --folder, and what it is with --kind.")
    data = read_dataset(Path(params.folder).expanduser(), params.kind)
    take = session.take(params.take)
    predicted = _frames(take.poses3d(params.poses), data)
    columns: tuple[str, ...]
    if data.kind == "panoptic":
        columns, others = published.PANOPTIC_COLUMNS, published.PANOPTIC
        ours = {params.poses: _panoptic(predicted, data)}
    else:
        columns = published.ACTOR_COLUMNS
        others = published.SHELF if data.kind == "shelf" else published.CAMPUS
        ours = {f"{params.poses}, heads as for Shelf": _parts(predicted, data, plain=False)}
        if data.kind == "campus":
            ours[f"{params.poses}, plain heads"] = _parts(predicted, data, plain=True)
    reporter.note(_table(columns, {**others, **ours}))
    result = {"columns": list(columns), "ours": ours, "published": others, "frames": len(data.frames)}
    file = run.root / "dataset.json"
    write_json(file, result)
    return {**result, "file": str(file)}


def _frames(sequence: Pose3DSequence, data: DataSet) -> Pose3DSequence:
    """The moments that count: all of a result with one for each of them, else those of the same number."""
    count = len(sequence.time_s)
    if count == len(data.frames):
        rows = np.arange(count)
    elif count > data.frames[-1]:
        rows = data.frames
    else:
        raise CoreError(
            f"The result has {count} moments; the data set counts {len(data.frames)} up to number {data.frames[-1]}.",
            "Import the whole sequence, or exactly the frames that count.",
        )
    return dataclasses.replace(
        sequence,
        time_s=np.arange(len(rows)) / data.fps,
        xyz_mm=sequence.xyz_mm[rows],
        score=sequence.score[rows],
        covariance_mm2=None,
    )


def _panoptic(predicted: Pose3DSequence, data: DataSet) -> Row:
    xyz, score = convert(predicted.xyz_mm, predicted.score, predicted.skeleton, PANOPTIC15)
    found = dataclasses.replace(predicted, skeleton=PANOPTIC15, xyz_mm=xyz, score=score)
    truth = dataclasses.replace(
        found,
        xyz_mm=data.truth_mm,
        score=np.isfinite(data.truth_mm).all(-1).astype(float),
        person_ids=tuple(range(1, data.truth_mm.shape[1] + 1)),
    )
    result = accuracy(found, truth)
    percent = [100 * result.ap[t] for t in (25, 50, 100, 150)] + [100 * result.recall]
    return (*(round(p, 2) for p in percent), round(result.mpjpe_mm, 2))


def _parts(predicted: Pose3DSequence, data: DataSet, *, plain: bool) -> Row:
    joints = to_shelf14(predicted.xyz_mm, predicted.skeleton, "plain" if plain else "shelf")
    people = [frame[present] for frame, present in zip(joints, predicted.present, strict=True)]
    # A joint that was not found is far from everything: the part is wrong, the person is not gone.
    result = part_score([np.nan_to_num(p, nan=1e6) for p in people], data.truth_mm)
    actors = [100 * a for a in result.actors[:3]] + [float("nan")] * (3 - len(result.actors[:3]))
    return (*(None if np.isnan(a) else round(a, 2) for a in actors), round(100 * result.mean(), 2))


def _table(columns: tuple[str, ...], rows: dict[str, Row]) -> str:
    width = max(len(name) for name in rows) + 2
    lines = [" " * width + "".join(f"{c:>10}" for c in columns)]
    for name, figures in rows.items():
        lines.append(f"{name:<{width}}" + "".join(f"{'-' if f is None else f'{f:.2f}':>10}" for f in figures))
    return "\n".join(lines)
