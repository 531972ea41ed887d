"""Chunk files of an unfinished 2D pose estimation, for resuming an interrupted run.

A chunk is an atomically written file with the detections in consecutive frames of one camera. The complete chunks of a
take are assembled into the files that all other steps read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.disk import replacing
from core.errors import CoreError
from core.pose2d.estimator import Detections
from core.pose2d.heatmaps import compress_heatmaps, write_heatmaps
from core.pose2d.pixelmap import PixelMap
from core.types.arrays import F32, I64, frozen
from core.types.pose2d import Pose2D
from core.types.skeleton import Skeleton


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chunk:
    """Detections in consecutive frames of one camera.

    Attributes:
        frames: (N,) indices of the frames with an image.
        people: (N,) number of people per frame.
        xy_px: (S, J, 2) joints of all people, S = sum of `people`.
        score: (S, J) joint scores.
        box_px: (S, 4) bounding boxes.
        heatmaps: Compressed heatmaps per frame; empty without heatmaps.
        shape: Height and width of a heatmap; (0, 0) without heatmaps.
        grid: Map from image pixels to heatmap pixels.
    """

    frames: I64
    people: I64
    xy_px: F32
    score: F32
    box_px: F32
    heatmaps: tuple[bytes, ...]
    shape: tuple[int, int]
    grid: PixelMap

    def __post_init__(self) -> None:
        sizes: dict[str, int] = {}
        set_ = object.__setattr__
        set_(self, "frames", frozen(self.frames, ("N",), "chunk: frames", np.int64, sizes=sizes))
        set_(self, "people", frozen(self.people, ("N",), "chunk: people", np.int64, sizes=sizes))
        sizes["S"] = int(self.people.sum())
        set_(self, "xy_px", frozen(self.xy_px, ("S", "J", 2), "chunk: xy_px", np.float32, allow_nan=True, sizes=sizes))
        set_(self, "score", frozen(self.score, ("S", "J"), "chunk: score", np.float32, sizes=sizes))
        set_(self, "box_px", frozen(self.box_px, ("S", 4), "chunk: box_px", np.float32, sizes=sizes))

    @classmethod
    def of(cls, estimated: list[tuple[int, Detections, bytes]], joints: int) -> Chunk:
        """Build a chunk from frames, each given as index, detections, and compressed heatmaps (empty for none)."""
        people = [d for _, d, _ in estimated]
        maps = next((d.heatmaps for d in people if d.heatmaps is not None), None)
        return cls(
            frames=np.array([t for t, _, _ in estimated], np.int64),
            people=np.array([len(d) for d in people], np.int64),
            xy_px=np.concatenate([np.zeros((0, joints, 2)), *(d.xy_px for d in people)]),
            score=np.concatenate([np.zeros((0, joints)), *(d.score for d in people)]),
            box_px=np.concatenate([np.zeros((0, 4)), *(d.box_px for d in people)]),
            heatmaps=tuple(content for _, _, content in estimated) if maps else (),
            shape=(maps.values.shape[1], maps.values.shape[2]) if maps else (0, 0),
            grid=maps.grid if maps else PixelMap((1.0, 1.0), (0.0, 0.0)),
        )

    def save(self, path: Path) -> None:
        """Write the chunk atomically."""
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(
                file,
                frames=self.frames,
                people=self.people,
                xy_px=self.xy_px,
                score=self.score,
                box_px=self.box_px,
                heatmaps=np.frombuffer(b"".join(self.heatmaps), np.uint8),
                lengths=np.array([len(h) for h in self.heatmaps], np.int64),
                shape=np.array(self.shape),
                grid=np.array([self.grid.scale, self.grid.offset]),
            )

    @classmethod
    def load(cls, path: Path, *, with_heatmaps: bool = True) -> Chunk:
        """Read a chunk, optionally without the heatmaps, which take most of the file.

        Raises:
            CoreError: The file is damaged.
        """
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
                content = data["heatmaps"].tobytes() if with_heatmaps else b""
                ends = np.cumsum(data["lengths"]).tolist() if with_heatmaps else []
                (sx, sy), (ox, oy) = data["grid"].tolist()
                height, width = data["shape"].tolist()
                return cls(
                    frames=data["frames"],
                    people=data["people"],
                    xy_px=data["xy_px"],
                    score=data["score"],
                    box_px=data["box_px"],
                    heatmaps=tuple(content[a:b] for a, b in zip([0, *ends], ends, strict=False)),
                    shape=(height, width),
                    grid=PixelMap((sx, sy), (ox, oy)),
                )
        except CoreError:
            raise
        except Exception as error:
            raise CoreError(f"{path} is damaged: {error}.", "Delete it and run 'pose2d' again.") from error


def pack_heatmaps(detections: Detections) -> bytes:
    """Return the compressed heatmaps of an image; empty if it has none."""
    return compress_heatmaps(detections.heatmaps.values) if detections.heatmaps is not None else b""


def assemble_poses(camera: str, joints: Skeleton, chunks: list[Chunk], n_frames: int) -> Pose2D:
    """Assemble the 2D poses of a camera from its chunks; frames without an image have no detections."""
    most = max((int(c.people.max(initial=0)) for c in chunks), default=0)
    xy_px = np.full((n_frames, most, len(joints), 2), np.nan, np.float32)
    score = np.zeros((n_frames, most, len(joints)), np.float32)
    box_px = np.full((n_frames, most, 4), np.nan, np.float32)
    for chunk in chunks:
        first = np.cumsum(chunk.people) - chunk.people
        row = np.repeat(chunk.frames, chunk.people)
        column = np.arange(len(chunk.xy_px)) - np.repeat(first, chunk.people)
        xy_px[row, column], score[row, column], box_px[row, column] = chunk.xy_px, chunk.score, chunk.box_px
    return Pose2D(camera=camera, skeleton=joints, xy_px=xy_px, score=score, box_px=box_px)


def assemble_heatmaps(
    path: Path, joints: Skeleton, chunks: Iterable[Chunk], outline: Sequence[Chunk], n_frames: int
) -> None:
    """Assemble the heatmap file of a camera, one chunk at a time.

    Args:
        path: File to write.
        joints: Joint set of the channels.
        chunks: Chunks with heatmaps; iterated once.
        outline: The same chunks, with or without heatmaps; at least one contains an image.
        n_frames: Number of frames of the take, T.
    """
    frames = ((int(t), content) for c in chunks for t, content in zip(c.frames, c.heatmaps, strict=True))
    first = next(c for c in outline if c.shape != (0, 0))
    write_heatmaps(path, frames, n_frames=n_frames, shape=first.shape, grid=first.grid, joints=joints)
