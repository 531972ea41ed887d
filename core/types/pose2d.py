"""2D poses of one camera of one take."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from core.disk import replacing, saying_why
from core.errors import CoreError
from core.types.arrays import F32, frozen
from core.types.skeleton import Skeleton, skeleton

_ARRAYS = ("xy_px", "score", "box_px")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pose2D:
    """Detections of a 2D estimator in one camera; the index P counts detections per frame and is not an identity.

    Attributes:
        camera: Camera name.
        skeleton: Joint set.
        xy_px: (T, P, J, 2) joints in the distorted image, NaN where missing.
        score: (T, P, J) confidences from 0 to 1, 0 where missing.
        box_px: (T, P, 4) bounding boxes x0 y0 x1 y1, NaN where there is no detection.
    """

    camera: str
    skeleton: Skeleton
    xy_px: F32
    score: F32
    box_px: F32

    def __post_init__(self) -> None:
        what, sizes, set_ = f"2D poses of {self.camera}", {"J": len(self.skeleton)}, object.__setattr__
        set_(
            self,
            "xy_px",
            frozen(self.xy_px, ("T", "P", "J", 2), f"{what}: xy_px", np.float32, allow_nan=True, sizes=sizes),
        )
        set_(self, "score", frozen(self.score, ("T", "P", "J"), f"{what}: score", np.float32, sizes=sizes))
        set_(
            self,
            "box_px",
            frozen(self.box_px, ("T", "P", 4), f"{what}: box_px", np.float32, allow_nan=True, sizes=sizes),
        )

    @property
    def n_frames(self) -> int:
        """Number of frames T."""
        return len(self.xy_px)

    @property
    def present(self) -> np.ndarray:
        """(T, P) bool, detections with at least one joint."""
        return np.asarray((self.score > 0).any(-1))

    def select(self, frames: np.ndarray) -> Pose2D:
        """Return the frames (F,), by index."""
        return replace(self, xy_px=self.xy_px[frames], score=self.score[frames], box_px=self.box_px[frames])

    def save(self, path: Path) -> None:
        """Write a compressed npz of plain arrays, atomically."""
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file,
                camera=np.array(self.camera),
                skeleton=np.array(self.skeleton.name),
                xy_px=self.xy_px,
                score=self.score,
                box_px=self.box_px,
            )

    @classmethod
    def load(cls, path: Path) -> Pose2D:
        """Read a file written by `save`; code in the file is never run.

        Raises:
            CoreError: A missing, truncated or different file.
        """
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
                return cls(
                    camera=str(data["camera"]),
                    skeleton=skeleton(str(data["skeleton"])),
                    xy_px=data["xy_px"],
                    score=data["score"],
                    box_px=data["box_px"],
                )
        except CoreError:
            raise
        except Exception as error:
            raise CoreError(
                f"{path} does not contain 2D poses: {error}.", "Delete it and run the 2D pose estimator again."
            ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPose2D:
    """Detections of one camera that are read from the disk by frames, so that a long take fits into memory.

    Attributes:
        camera: Camera name.
        skeleton: Joint set.
        n_frames: Number of frames T.
        folder: Folder with the uncompressed arrays, which belongs to the caller.
    """

    camera: str
    skeleton: Skeleton
    n_frames: int
    folder: Path

    @classmethod
    def unpack(cls, path: Path, folder: Path) -> StoredPose2D:
        """Unpack a file written by `Pose2D.save` into a new folder.

        Raises:
            CoreError: A missing, truncated or different file.
            DiskError: The folder cannot be written.
        """
        with saying_why(folder):
            folder.mkdir()
            try:
                with np.load(path, allow_pickle=False) as data:
                    camera, joints = str(data["camera"]), skeleton(str(data["skeleton"]))
                with zipfile.ZipFile(path) as packed:
                    for name in _ARRAYS:
                        packed.extract(f"{name}.npy", folder)
                n_frames = len(np.load(folder / "xy_px.npy", mmap_mode="r"))
            except (zipfile.BadZipFile, KeyError, ValueError, EOFError, FileNotFoundError) as error:
                raise CoreError(
                    f"{path} does not contain 2D poses: {error}.", "Delete it and run the 2D pose estimator again."
                ) from error
        stored = cls(camera=camera, skeleton=joints, n_frames=n_frames, folder=folder)
        stored.select(np.arange(min(1, n_frames)))
        return stored

    def select(self, frames: np.ndarray) -> Pose2D:
        """Return the frames (F,), by index."""
        arrays = {name: np.load(self.folder / f"{name}.npy", mmap_mode="r")[frames] for name in _ARRAYS}
        return Pose2D(camera=self.camera, skeleton=self.skeleton, **arrays)
