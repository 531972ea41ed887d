"""What a public data set is once it is read, whatever its files look like.

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
REMEDY = "Unpack the data set again, and choose the folder as its authors lay it out."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DataSet:
    """One sequence of a data set: cameras, truth, and what there is to predict from.

    Attributes:
        kind: Name of its reader and of its protocol.
        name: Of the sequence.
        rig: Cameras that are used, z up, mm.
        frames: (T,) numbers of the frames in the set's own counting, increasing.
        tested: (T,) bool: frames that the protocol counts.
        truth: T frames; NaN where nobody or nothing is annotated. `person_ids` are the set's own where it has them.
        fps: Of the counting. `truth.time_s` counts from the first of `frames`.
        images: Camera to T files, None where one is missing; cameras without any are left out.
        videos: Camera to a video whose image n is frame n.
        poses2d: Camera to 2D poses of the T frames that come with the set; empty where none do.
        estimator: Who made `poses2d`.
        notes: What is odd, in sentences.
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
            raise CoreError(f"{self.name}: frames and truth are not equally many.", REMEDY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which part of a data set to read.

    Attributes:
        split: "test" is what papers report on, "train" what they train on, "all" every frame.
        cameras: Names; empty for those that papers use.
    """

    split: Split = "test"
    cameras: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSetReader:
    """One data set's layout.

    Attributes:
        name: As in the registry and in `core.evaluation.protocols`.
        title: For messages.
        recognises: Whether a folder is one, by the names in it; cheap, never raises.
        read: Reads it; raises CoreError with a remedy for whatever is wrong.
    """

    name: str
    title: str
    recognises: Callable[[Path], bool]
    read: Callable[[Path, Selection], DataSet]


def truth_of(
    skeleton: Skeleton, frames: I64, fps: float, xyz_mm: F64, score: F64, ids: tuple[int, ...]
) -> Pose3DSequence:
    """Annotated people (T, P, J, 3), times counted from the first frame."""
    return Pose3DSequence(
        skeleton=skeleton,
        time_s=(frames - frames[0]) / fps,
        xyz_mm=xyz_mm,
        score=np.where(np.isfinite(xyz_mm).all(-1), score, 0.0),
        person_ids=ids,
        provenance={"method": "annotation"},
    )


def rows_of(sequence: Pose3DSequence, rows: np.ndarray) -> Pose3DSequence:
    """Some frames of a sequence, by increasing index or as a mask, without covariance."""
    return dataclasses.replace(
        sequence,
        time_s=sequence.time_s[rows],
        xyz_mm=sequence.xyz_mm[rows],
        score=sequence.score[rows],
        covariance_mm2=None,
    )


def one_file(folder: Path, *patterns: str) -> Path:
    """The only file that matches the first pattern which any file matches.

    Raises:
        CoreError: None or several.
    """
    for pattern in patterns:
        found = sorted(folder.glob(pattern))
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(path.name for path in found[:3])
            raise CoreError(f"{folder.name} has several files named {pattern}: {names}.", "Keep the one that is right.")
    raise CoreError(f"{folder.name} has no {patterns[0]}.", REMEDY)


def numbered(folder: Path, suffixes: tuple[str, ...]) -> dict[int, Path]:
    """Files of a folder by the number that their names end in; empty where there is no folder."""
    found: dict[int, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        digits = path.stem[len(path.stem.rstrip("0123456789")) :]
        if digits and path.suffix.lower() in suffixes and not path.name.startswith("."):
            found.setdefault(int(digits), path)
    return found


def images_of(
    rig: CameraRig, frames: I64, folder_of: Callable[[str], Path]
) -> tuple[dict[str, tuple[Path | None, ...]], list[str]]:
    """Images of the frames by camera, from folders of numbered files, and what is missing in words."""
    images: dict[str, tuple[Path | None, ...]] = {}
    notes = []
    for name in rig.names:
        found = numbered(folder_of(name), (".jpg", ".jpeg", ".png"))
        wanted = tuple(found.get(number) for number in frames.tolist())
        missing = wanted.count(None)
        if missing < len(wanted):
            images[name] = wanted
            if missing:
                notes.append(f"{name} lacks the images of {missing} of {len(wanted)} frames.")
    return images, notes
