"""Verb `evaluate-dataset`: comparison of 3D people with the ground truth of public data sets and published results."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.config import to_mapping
from core.errors import CoreError
from core.evaluation.datasets import DataSet, read_dataset, select_frames
from core.evaluation.protocols import PROTOCOLS, concatenate_sequences
from core.evaluation.published import with_published
from core.files import write_json
from core.pipelines.params import EvaluateDatasetParams
from core.progress import Reporter, check
from core.reconstruction.triangulated import Triangulator
from core.session import BASELINE, RunLayout, Session, Take
from core.types.arrays import I64
from core.types.pose3d import Pose3DSequence


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Sequence:
    """Predictions and ground truth of the test frames of one sequence."""

    kind: str
    name: str
    predicted: Pose3DSequence
    truth: Pose3DSequence


def run_evaluate_dataset(
    session: Session, params: EvaluateDatasetParams, run: RunLayout, reporter: Reporter
) -> dict[str, Any]:
    """Evaluate stored 3D results, files or the baseline on one or several sequences.

    Returns:
        data_set, sequences, poses, frames, missed_frames (test frames without any prediction), metrics (see
        `core.evaluation.protocols`), table (title, columns, rows), file (the same as JSON).

    Raises:
        CoreError: A take, result, file or data set is missing, or frames do not match.
        CancelledError: The job was cancelled.
    """
    sequences = list(_sequences(session, params, reporter))
    kinds = {s.kind for s in sequences}
    if len(kinds) > 1:
        raise CoreError(f"{' and '.join(sorted(kinds))} have different protocols.", "Evaluate them one by one.")
    kind = kinds.pop()
    predicted = concatenate_sequences([s.predicted for s in sequences])
    truth = concatenate_sequences([s.truth for s in sequences])
    label = ", ".join(dict.fromkeys(_label(poses) for poses in params.poses))
    protocol_result = PROTOCOLS[kind](predicted, truth, label)
    missed = int((~predicted.present.any(1) & truth.present.any(1)).sum())
    if missed:
        text = f"{missed} of {len(truth.time_s)} frames have no prediction and count as missed."
        reporter.note(text, "warning")
    result = {
        "data_set": kind,
        "sequences": [s.name for s in sequences],
        "poses": label,
        "frames": len(truth.time_s),
        "missed_frames": missed,
        "metrics": dict(protocol_result.metrics),
        "table": to_mapping(with_published(kind, protocol_result.rows)),
    }
    write_json(run.report, result)
    return {**result, "file": str(run.report)}


def _sequences(session: Session, params: EvaluateDatasetParams, reporter: Reporter) -> Iterator[_Sequence]:
    takes = [session.take(name) for name in params.takes]
    if not params.folders and not takes:
        takes = [take for take in map(session.take, session.take_names()) if take.truth is not None]
    count = len(params.folders) or len(takes)
    if not count:
        raise CoreError(
            "The session has no take of a data set.",
            "Import one with import-dataset, or pass its folder with --folders.",
        )
    if params.folders and takes and len(takes) != count:
        raise CoreError(f"{count} folders are given for {len(takes)} takes.", "Pass one folder per take.")
    if len(params.poses) not in (1, count):
        raise CoreError(
            f"{len(params.poses)} results are given for {count} sequences.",
            "Pass one for all sequences, or one per sequence.",
        )
    poses = params.poses * count if len(params.poses) == 1 else params.poses
    for i in range(count):
        check(reporter)
        reporter.progress(i, count, "Comparing with the ground truth")
        if not params.folders:
            yield _take_sequence(takes[i], poses[i])
        else:
            data = read_dataset(params.folders[i], params.kind)
            yield _folder_sequence(data, takes[i] if takes else None, poses[i], params.first_frame, reporter)
    reporter.progress(count, count, "Comparing with the ground truth")


def _take_sequence(take: Take, poses: str) -> _Sequence:
    """Return the test frames of a take of `import-dataset`."""
    truth = take.truth
    if truth is None:
        raise CoreError(f"Take {take.name} has no ground truth.", "Pass the folder of the data set with --folders.")
    try:
        origin = truth.provenance["data_set"]
        frames, tested = np.array(origin["frames"], np.int64), np.isin(origin["frames"], origin["tested"])
        kind, name = str(origin["kind"]), str(origin["name"])
    except (KeyError, TypeError, ValueError) as error:
        raise CoreError(
            f"The ground truth of take {take.name} does not state its data set.", "Import it again."
        ) from error
    if kind not in PROTOCOLS or len(frames) != len(truth.time_s):
        raise CoreError(f"The ground truth of take {take.name} is damaged.", "Import it again.")
    if not tested.any():
        raise CoreError(f"Take {take.name} has no test frames.", "Import the split 'test' or 'all'.")
    at = np.full(len(frames), -1)
    result = take.poses3d(poses)
    if len(result.time_s):
        period = float(np.min(np.diff(truth.time_s), initial=1.0))
        nearest = np.abs(result.time_s[None] - truth.time_s[:, None]).argmin(1)
        at = np.where(np.abs(result.time_s[nearest] - truth.time_s) < period / 2, nearest, -1)
    return _Sequence(
        kind=kind, name=name, predicted=_people_at_rows(result, at[tested]), truth=select_frames(truth, tested)
    )


def _folder_sequence(
    data: DataSet, take: Take | None, poses: str, first_frame: int | None, reporter: Reporter
) -> _Sequence:
    """Return the test frames of a data set's folder, with a take's result, a file, or the baseline as prediction."""
    tested = np.flatnonzero(data.tested)
    truth = select_frames(data.truth, data.tested)
    if take is not None:
        poses3d = take.poses3d(poses)
    elif poses == BASELINE:
        poses3d, first_frame = _baseline(data, reporter), None
    else:
        poses3d = Pose3DSequence.load(Path(poses).expanduser())
    at = _match_frames(poses3d, data.frames[tested], data.fps, first_frame)
    return _Sequence(kind=data.kind, name=data.name, predicted=_people_at_rows(poses3d, at), truth=truth)


def _baseline(data: DataSet, reporter: Reporter) -> Pose3DSequence:
    """Triangulate the 2D poses of the data set, and return the test frames."""
    if not data.poses2d:
        raise CoreError(
            f"{data.name} comes without 2D poses.",
            "Import it with import-dataset, run pose2d and triangulate on the take, and evaluate that.",
        )
    return select_frames(
        Triangulator().reconstruct(data.rig, dict(data.poses2d), data.truth.time_s, reporter),
        data.tested,
    )


def _match_frames(poses3d: Pose3DSequence, frames: I64, fps: float, first_frame: int | None) -> I64:
    """Return the row (F,) of a result for each frame number, -1 where missing."""
    count = len(poses3d.time_s)
    if first_frame is not None:
        numbers = first_frame + np.round(poses3d.time_s * fps).astype(np.int64)
        if not np.isin(frames, numbers).any():
            raise CoreError(
                f"With first_frame {first_frame} the result covers none of the frames {frames[0]} to {frames[-1]}.",
                "Pass the number of the frame at time 0 of the result.",
            )
        at = np.clip(np.searchsorted(numbers, frames), 0, count - 1)
        return np.where(numbers[at] == frames, at, -1)
    if count == len(frames):
        return np.arange(count)
    if count > frames[-1]:
        return frames
    raise CoreError(
        f"The result has {count} frames; the data set has {len(frames)} test frames up to number {frames[-1]}.",
        "Pass the number of the frame at time 0 of the result with --set first_frame=NUMBER.",
    )


def _people_at_rows(poses3d: Pose3DSequence, at: I64) -> Pose3DSequence:
    """Return the people at rows `at` (F,) of a result, NaN where a row is -1."""
    missing, frames = at < 0, np.arange(len(at), dtype=float)
    if not len(poses3d.time_s):
        empty = np.zeros((len(at), 0, len(poses3d.skeleton)))
        return Pose3DSequence(
            skeleton=poses3d.skeleton,
            time_s=frames,
            xyz_mm=np.zeros((*empty.shape, 3)),
            score=empty,
            person_ids=(),
        )
    return dataclasses.replace(
        poses3d,
        time_s=frames,
        xyz_mm=np.where(missing[:, None, None, None], np.nan, poses3d.xyz_mm[at]),
        score=np.where(missing[:, None, None], 0.0, poses3d.score[at]),
        covariance_mm2=None,
    )


def _label(poses: str) -> str:
    return Path(poses).stem if poses.endswith(".nc") else poses
