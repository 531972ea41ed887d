"""A sequence of a public data set, independent of its file layout.

Legend: T frame, P person, J joint.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from core.errors import CoreError
from core.types.arrays import F64, I64
from core.types.camera import CameraRig
from core.types.pose2d import Pose2D
from core.types.pose3d import Pose3DSequence
from core.types.skeleton import Skeleton

Split = Literal["test", "train", "all"]
REMEDY = "Unpack the data set again and choose a folder in the layout of its authors."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DataSet:
    """One sequence of a data set: cameras, ground truth, images and 2D poses.

    Attributes:
        kind: Name of its reader and of its protocol.
        name: Name of the sequence.
        rig: Cameras that are used, z up, mm.
        frames: (T,) frame numbers of the data set, increasing.
        tested: (T,) bool, test frames of the protocol.
        truth: Ground truth of T frames, NaN where not annotated. `person_ids` are those of the data set if it has any.
        fps: Rate of the frame numbers. `truth.time_s` starts at the first of `frames`.
        images: Camera to T files, None where one is missing; only cameras with images.
        videos: Camera to a video whose image n is frame n.
        poses2d: Camera to the 2D poses of the data set for the T frames; empty where there are none.
        estimator: Name of the estimator of `poses2d`.
        notes: Warnings, as sentences.
    """

    kind: str
    name: str
    rig: CameraRig
    frames: I64
    tested: np.ndarray
    truth: Pose3DSequence
    fps: float
    images: Mapping[str, tuple[Path | None, ...]] = field(default_factory=dict)
    videos: Mapping[str, Path] = field(default_factory=dict)
    poses2d: Mapping[str, Pose2D] = field(default_factory=dict)
    estimator: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not len(self.frames) == len(self.tested) == len(self.truth.time_s):
            raise CoreError(f"{self.name}: the numbers of frames and of annotated frames differ.", REMEDY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Part of a data set to read.

    Attributes:
        split: Frames to read: "test" are those that papers report on, "train" those they train on, "all" every frame.
        cameras: Camera names; empty for those that papers use.
    """

    split: Split = "test"
    cameras: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSetReader:
    """Reader of one data set's layout.

    Attributes:
        name: Name in the registry and in `core.evaluation.protocols`.
        title: Name for messages.
        recognises: Returns whether a folder has this layout, by file names; cheap, never raises.
        read: Reads a folder; raises CoreError with a remedy.
    """

    name: str
    title: str
    recognises: Callable[[Path], bool]
    read: Callable[[Path, Selection], DataSet]


def annotated_sequence(
    skeleton: Skeleton, frames: I64, fps: float, xyz_mm: F64, score: F64, ids: tuple[int, ...]
) -> Pose3DSequence:
    """Return annotated people (T, P, J, 3) as a sequence, with times from the first frame."""
    return Pose3DSequence(
        skeleton=skeleton,
        time_s=(frames - frames[0]) / fps,
        xyz_mm=xyz_mm,
        score=np.where(np.isfinite(xyz_mm).all(-1), score, 0.0),
        person_ids=ids,
        provenance={"method": "annotation"},
    )


def select_frames(sequence: Pose3DSequence, rows: np.ndarray) -> Pose3DSequence:
    """Return some frames of a sequence, by increasing index or by mask, without covariance."""
    return dataclasses.replace(
        sequence,
        time_s=sequence.time_s[rows],
        xyz_mm=sequence.xyz_mm[rows],
        score=sequence.score[rows],
        covariance_mm2=None,
    )


def find_file(folder: Path, *patterns: str) -> Path:
    """Return the only file that matches the first pattern with any match.

    Raises:
        CoreError: There is no such file, or several.
    """
    for pattern in patterns:
        found = sorted(folder.glob(pattern))
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(path.name for path in found[:3])
            raise CoreError(f"{folder.name} has several files named {pattern}: {names}.", "Keep only the right one.")
    raise CoreError(f"{folder.name} has no {patterns[0]}.", REMEDY)


def numbered_files(folder: Path, suffixes: tuple[str, ...]) -> dict[int, Path]:
    """Return the files of a folder by the number at the end of their names; empty if there is no folder."""
    found: dict[int, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        digits = path.stem[len(path.stem.rstrip("0123456789")) :]
        if digits and path.suffix.lower() in suffixes and not path.name.startswith("."):
            found.setdefault(int(digits), path)
    return found


def find_images(
    rig: CameraRig, frames: I64, folder_of: Callable[[str], Path]
) -> tuple[dict[str, tuple[Path | None, ...]], list[str]]:
    """Return the images of the frames by camera, from folders of numbered files, and notes on missing ones."""
    images: dict[str, tuple[Path | None, ...]] = {}
    notes = []
    for name in rig.names:
        found = numbered_files(folder_of(name), (".jpg", ".jpeg", ".png"))
        files = tuple(found.get(number) for number in frames.tolist())
        missing = files.count(None)
        if missing < len(files):
            images[name] = files
            if missing:
                notes.append(f"{name} lacks the images of {missing} of {len(files)} frames.")
    return images, notes
