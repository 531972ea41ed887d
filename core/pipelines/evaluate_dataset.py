"""Verb `evaluate-dataset`: 3D people against a public data set's truth, by its protocol, beside published figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.config import to_mapping
from core.errors import CoreError
from core.evaluation.datasets import DataSet, read_dataset, rows_of
from core.evaluation.protocols import PROTOCOLS, in_a_row
from core.evaluation.published import beside
from core.files import write_json
from core.pipelines.params import EvaluateDatasetParams
from core.progress import Reporter, check
from core.reconstruction.triangulated import Triangulator
from core.session import BASELINE, RunLayout, Session, Take
from core.types.arrays import I64
from core.types.pose3d import Pose3DSequence


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Exam:
    """One sequence: predictions and truth of the same frames, those that are tested."""

    kind: str
    name: str
    predicted: Pose3DSequence
    truth: Pose3DSequence


def run_evaluate_dataset(
    session: Session, params: EvaluateDatasetParams, run: RunLayout, reporter: Reporter
) -> dict[str, Any]:
    """Judges stored 3D results, files, or the baseline, on one or several sequences together.

    Returns:
        data_set, sequences, poses, frames, missed_frames (tested ones without any prediction), figures (as
        `core.evaluation.protocols` has them), table (title, columns, rows), file (of all this as JSON).

    Raises:
        CoreError: Nothing to judge, no such take, result, file or data set, or frames that do not match.
        CancelledError: Asked to stop.
    """
    exams = list(_exams(session, params, reporter))
    kinds = {exam.kind for exam in exams}
    if len(kinds) > 1:
        raise CoreError(f"{' and '.join(sorted(kinds))} have different protocols.", "Evaluate them one by one.")
    kind = kinds.pop()
    predicted, truth = in_a_row([e.predicted for e in exams]), in_a_row([e.truth for e in exams])
    label = ", ".join(dict.fromkeys(_label(poses) for poses in params.poses))
    judgement = PROTOCOLS[kind](predicted, truth, label)
    missed = int((~predicted.present.any(1) & truth.present.any(1)).sum())
    if missed:
        told = f"Nobody was predicted in {missed} of {len(truth.time_s)} frames: they count as missed."
        reporter.note(told, "warning")
    result = {
        "data_set": kind,
        "sequences": [exam.name for exam in exams],
        "poses": label,
        "frames": len(truth.time_s),
        "missed_frames": missed,
        "figures": dict(judgement.figures),
        "table": to_mapping(beside(kind, judgement.rows)),
    }
    write_json(run.report, result)
    return {**result, "file": str(run.report)}


def _exams(session: Session, params: EvaluateDatasetParams, reporter: Reporter) -> Iterator[_Exam]:
    takes = [session.take(name) for name in params.takes]
    if not params.folders and not takes:
        takes = [take for take in map(session.take, session.take_names()) if take.truth is not None]
    count = len(params.folders) or len(takes)
    if not count:
        raise CoreError(
            "There is no data set to evaluate on.", "Import one with import-dataset, or name its folder with --folders."
        )
    if params.folders and takes and len(takes) != count:
        raise CoreError(f"{count} folders are given for {len(takes)} takes.", "Name one folder for each take.")
    if len(params.poses) not in (1, count):
        raise CoreError(
            f"{len(params.poses)} results are named for {count} sequences.", "Name one for all, or one for each."
        )
    poses = params.poses * count if len(params.poses) == 1 else params.poses
    for i in range(count):
        check(reporter)
        reporter.progress(i, count, "Comparing with the truth")
        if not params.folders:
            yield _of_take(takes[i], poses[i])
        else:
            data = read_dataset(params.folders[i], params.kind)
            yield _of_folder(data, takes[i] if takes else None, poses[i], params.first_frame, reporter)
    reporter.progress(count, count, "Comparing with the truth")


def _of_take(take: Take, poses: str) -> _Exam:
    """A take that import-dataset made, judged on those of its frames that are tested."""
    truth = take.truth
    if truth is None:
        raise CoreError(f"Take {take.name} has no truth.", "Name the data set's folder with --folders.")
    try:
        origin = truth.provenance["data_set"]
        frames, tested = np.array(origin["frames"], np.int64), np.isin(origin["frames"], origin["tested"])
        kind, name = str(origin["kind"]), str(origin["name"])
    except (KeyError, TypeError, ValueError) as error:
        raise CoreError(f"The truth of take {take.name} does not say where it is from.", "Import it again.") from error
    if kind not in PROTOCOLS or len(frames) != len(truth.time_s):
        raise CoreError(f"The truth of take {take.name} is damaged.", "Import it again.")
    if not tested.any():
        raise CoreError(f"Take {take.name} has no frames that are tested.", "Import the split 'test' or 'all'.")
    at = np.full(len(frames), -1)
    result = take.poses3d(poses)
    if len(result.time_s):
        period = float(np.min(np.diff(truth.time_s), initial=1.0))
        nearest = np.abs(result.time_s[None] - truth.time_s[:, None]).argmin(1)
        at = np.where(np.abs(result.time_s[nearest] - truth.time_s) < period / 2, nearest, -1)
    return _Exam(kind=kind, name=name, predicted=_picked(result, at[tested]), truth=rows_of(truth, tested))


def _of_folder(data: DataSet, take: Take | None, poses: str, first_frame: int | None, reporter: Reporter) -> _Exam:
    """A data set's folder against a take's result, a file, or the baseline of the set's own 2D poses."""
    tested = np.flatnonzero(data.tested)
    truth = rows_of(data.truth, data.tested)
    if take is not None:
        found = take.poses3d(poses)
    elif poses == BASELINE:
        found, first_frame = _baseline(data, reporter), None
    else:
        found = Pose3DSequence.load(Path(poses).expanduser())
    at = _frames(found, data.frames[tested], data.fps, first_frame)
    return _Exam(kind=data.kind, name=data.name, predicted=_picked(found, at), truth=truth)


def _baseline(data: DataSet, reporter: Reporter) -> Pose3DSequence:
    """Triangulation of the 2D poses that come with the set, in the frames that are tested."""
    if not data.poses2d:
        raise CoreError(
            f"{data.name} comes without 2D poses.",
            "Import it with import-dataset, run Label and Baseline on the take, and evaluate that.",
        )
    return rows_of(
        Triangulator().reconstruct(data.rig, dict(data.poses2d), data.truth.time_s, reporter),
        data.tested,
    )


def _frames(found: Pose3DSequence, frames: I64, fps: float, first_frame: int | None) -> I64:
    """(F,) frame of a result for each frame, -1 where it has none."""
    count = len(found.time_s)
    if first_frame is not None:
        numbers = first_frame + np.round(found.time_s * fps).astype(np.int64)
        if not np.isin(frames, numbers).any():
            raise CoreError(
                f"With first_frame {first_frame} the result covers none of the frames {frames[0]} to {frames[-1]}.",
                "Give the number of the frame at the result's time 0.",
            )
        at = np.clip(np.searchsorted(numbers, frames), 0, count - 1)
        return np.where(numbers[at] == frames, at, -1)
    if count == len(frames):
        return np.arange(count)
    if count > frames[-1]:
        return frames
    raise CoreError(
        f"The result has {count} frames; the data set tests {len(frames)} frames up to number {frames[-1]}.",
        "Say with --set first_frame=NUMBER which frame is at the result's time 0.",
    )


def _picked(found: Pose3DSequence, at: I64) -> Pose3DSequence:
    """The result's people at the chosen frames; nobody where there is none."""
    none, frames = at < 0, np.arange(len(at), dtype=float)
    if not len(found.time_s):
        nobody = np.zeros((len(at), 0, len(found.skeleton)))
        return Pose3DSequence(
            skeleton=found.skeleton,
            time_s=frames,
            xyz_mm=np.zeros((*nobody.shape, 3)),
            score=nobody,
            person_ids=(),
        )
    return dataclasses.replace(
        found,
        time_s=frames,
        xyz_mm=np.where(none[:, None, None, None], np.nan, found.xyz_mm[at]),
        score=np.where(none[:, None, None], 0.0, found.score[at]),
        covariance_mm2=None,
    )


def _label(poses: str) -> str:
    return Path(poses).stem if poses.endswith(".nc") else poses
