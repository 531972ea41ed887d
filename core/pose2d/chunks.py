"""Finished stretches of a labelling that has not ended yet, so that an interrupted run goes on where it stopped.

A part is one file, written whole or not at all, and holds the detections of a stretch of frames of one camera. Once
all parts of a take are there they are put together, in the forms that everything else reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import CoreError
from core.files import replacing
from core.pose2d.estimator import Detections
from core.pose2d.heatmaps import compress_heatmaps, write_heatmaps
from core.pose2d.pixelmap import PixelMap
from core.types.arrays import F32, I64, frozen
from core.types.pose2d import Pose2D
from core.types.skeleton import Skeleton


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chunk:
    """Detections of a stretch of frames.

    Attributes:
        frames: (N,) indices in the timeline, those with an image.
        people: (N,) detections of each.
        xy_px: (sum of people, J, 2).
        score: (sum of people, J).
        box_px: (sum of people, 4).
        heatmaps: Compressed maps of each frame, or empty.
        shape: Height and width of a heatmap; (0, 0) without.
        grid: Map from the camera's pixels to heatmap pixels.
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
        set_(self, "frames", frozen(self.frames, ("N",), "part: frames", np.int64, sizes=sizes))
        set_(self, "people", frozen(self.people, ("N",), "part: people", np.int64, sizes=sizes))
        sizes["S"] = int(self.people.sum())
        set_(self, "xy_px", frozen(self.xy_px, ("S", "J", 2), "part: xy_px", np.float32, allow_nan=True, sizes=sizes))
        set_(self, "score", frozen(self.score, ("S", "J"), "part: score", np.float32, sizes=sizes))
        set_(self, "box_px", frozen(self.box_px, ("S", 4), "part: box_px", np.float32, sizes=sizes))

    @classmethod
    def of(cls, found: list[tuple[int, Detections, bytes]], joints: int) -> Chunk:
        """The part of some frames: index, detections, and compressed heatmaps (empty for none)."""
        people = [d for _, d, _ in found]
        maps = next((d.heatmaps for d in people if d.heatmaps is not None), None)
        return cls(
            frames=np.array([t for t, _, _ in found], np.int64),
            people=np.array([len(d) for d in people], np.int64),
            xy_px=np.concatenate([np.zeros((0, joints, 2)), *(d.xy_px for d in people)]),
            score=np.concatenate([np.zeros((0, joints)), *(d.score for d in people)]),
            box_px=np.concatenate([np.zeros((0, 4)), *(d.box_px for d in people)]),
            heatmaps=tuple(content for _, _, content in found) if maps else (),
            shape=(maps.values.shape[1], maps.values.shape[2]) if maps else (0, 0),
            grid=maps.grid if maps else PixelMap((1.0, 1.0), (0.0, 0.0)),
        )

    def save(self, path: Path) -> None:
        """Writes the part, atomically."""
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
        """Reads what `save` wrote, on wish without the heatmaps themselves, which are most of the file.

        Raises:
            CoreError: Not such a file.
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
            raise CoreError(f"{path} is damaged: {error}.", "Delete it and label the take again.") from error


def pack_heatmaps(found: Detections) -> bytes:
    """The heatmaps of an image as they are stored; empty where there are none."""
    return compress_heatmaps(found.heatmaps.values) if found.heatmaps is not None else b""


def assemble_poses(camera: str, joints: Skeleton, parts: list[Chunk], n_frames: int) -> Pose2D:
    """The 2D poses of one camera from its parts; frames of no part have no detection."""
    most = max((int(p.people.max(initial=0)) for p in parts), default=0)
    xy_px = np.full((n_frames, most, len(joints), 2), np.nan, np.float32)
    score = np.zeros((n_frames, most, len(joints)), np.float32)
    box_px = np.full((n_frames, most, 4), np.nan, np.float32)
    for part in parts:
        first = np.cumsum(part.people) - part.people
        row = np.repeat(part.frames, part.people)
        column = np.arange(len(part.xy_px)) - np.repeat(first, part.people)
        xy_px[row, column], score[row, column], box_px[row, column] = part.xy_px, part.score, part.box_px
    return Pose2D(camera=camera, skeleton=joints, xy_px=xy_px, score=score, box_px=box_px)


def assemble_heatmaps(
    path: Path, joints: Skeleton, parts: Iterable[Chunk], outline: Sequence[Chunk], n_frames: int
) -> None:
    """Writes one camera's heatmaps from its parts, reading them one after the other.

    Args:
        path: File to make.
        joints: What the channels are.
        parts: With heatmaps; consumed once.
        outline: The same parts, with or without heatmaps; at least one of them has an image.
        n_frames: Frames of the take, T.
    """
    frames = ((int(t), content) for p in parts for t, content in zip(p.frames, p.heatmaps, strict=True))
    shaped = next(p for p in outline if p.shape != (0, 0))
    write_heatmaps(path, frames, n_frames=n_frames, shape=shaped.shape, grid=shaped.grid, joints=joints)
