"""2D poses of every view of a take, with one estimator.

Work goes stretch by stretch, camera by camera; each finished stretch is a file of its own, so that a run that was
cancelled or killed goes on where it stopped. What an earlier run stored stays valid until the new result is whole.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from core import __version__
from core.config import to_mapping
from core.errors import CoreError
from core.files import read_yaml, sha256, write_yaml
from core.jobs.launch import Ranks, launch, wait_for_files
from core.pipelines.params import Pose2DParams
from core.pose2d.cards import ModelCard, model_card
from core.pose2d.chunks import Chunk, assemble_heatmaps, assemble_poses, pack_heatmaps
from core.pose2d.download import DownloadPolicy, model_files
from core.pose2d.estimator import ESTIMATORS, Detections, Estimator
from core.pose2d.runtime import cpu_threads
from core.progress import Reporter, check
from core.session import RunLayout, Session, Take
from core.session.video import VideoReader
from core.types.arrays import U8
from core.types.pose2d import Pose2D

REVISION = 1
"""Raised whenever the same model and settings give other poses, so that stored ones are not taken for them."""

STRETCH = 32
_MAX_WORKERS = 8
_STAGE = "Finding 2D poses"
Found = tuple[int, Detections, bytes]


def run_pose2d(session: Session, params: Pose2DParams, run: RunLayout, reporter: Reporter) -> dict[str, Any]:
    """Finds 2D poses in every view of a take and stores them under the estimator's name.

    Returns:
        take, estimator, cached, images, people_per_image (by camera), heatmaps and provider.

    Raises:
        CoreError: No such take or estimator, a model that is missing or wrong, or a video that cannot be read.
    """
    take = session.take(params.take)
    model = model_card(params.pose2d.estimator)
    work = _Work(take, model, params)
    fetching = DownloadPolicy(allowed=params.allow_download)
    files = model_files(model, params.model_file, fetching, reporter)
    request = _request(take, model, files, params)
    if work.is_done(request):
        reporter.progress(1, 1, _STAGE)
        reporter.note(f"Take {take.name} already has these 2D poses of {model.title}: nothing to do.")
        return _summary(take, model, cached=True)
    ranks = Ranks.from_environment()
    if ranks.is_main:
        work.prepare(request)
    else:
        work.wait_prepared(request, reporter)
    with launch(params.processes, run.root) as ranks:
        estimator = _estimate_share(work, files, params, ranks, reporter)
        if not ranks.is_main:
            return {}
        check(reporter)
        wait_for_files(work.part_paths(), reporter)
    work.finish(estimator, request)
    result = _summary(take, model, cached=False)
    _tell(result, reporter)
    return result


def _estimate_share(
    work: _Work, files: dict[str, Path], params: Pose2DParams, ranks: Ranks, reporter: Reporter
) -> Estimator:
    # Several images at once with a thread each use the cores better than all threads on one image.
    model, threads = work.model, max(1, cpu_threads() // _MAX_WORKERS)
    estimator = ESTIMATORS.get(model.runner)(model.name, files, params.pose2d, threads)
    reporter.note(estimator.provider.words)
    work.run(estimator, max(1, min(estimator.provider.at_once, _MAX_WORKERS) // ranks.world_size), reporter, ranks)
    return estimator


@dataclass(frozen=True, slots=True)
class _Work:
    """One labelling on disk: its parts, and what they become."""

    take: Take
    model: ModelCard
    params: Pose2DParams

    @property
    def _parts(self) -> Path:
        return self.take.layout.poses2d_chunks(self.model.name)

    @property
    def _manifest(self) -> Path:
        return self.take.layout.poses2d_manifest(self.model.name)

    def is_done(self, request: dict[str, Any]) -> bool:
        """Whether what is stored was made by this very request and is all there."""
        stored = read_yaml(self._manifest) if self._manifest.is_file() else None
        if not isinstance(stored, dict) or stored.get("request") != request:
            return False
        layout, name = self.take.layout, self.model.name
        poses = all(layout.poses2d_file(name, c).is_file() for c in self.take.cameras)
        return poses and (self.has_heatmaps() or not stored.get("heatmaps"))

    def prepare(self, request: dict[str, Any]) -> None:
        """Keeps the parts of an interrupted run of this request, throws away those of any other."""
        mark = self._parts / "request.yaml"
        wanted = {"stretch": STRETCH, **request}
        if self._parts.exists() and not (mark.is_file() and read_yaml(mark) == wanted):
            shutil.rmtree(self._parts)
        if not mark.is_file():
            write_yaml(mark, wanted)

    def wait_prepared(self, request: dict[str, Any], reporter: Reporter) -> None:
        """Waits until the first process has made the folder ready for this request."""
        mark, wanted = self._parts / "request.yaml", {"stretch": STRETCH, **request}
        while not (mark.is_file() and read_yaml(mark) == wanted):
            check(reporter)
            time.sleep(0.05)

    def part_paths(self) -> list[Path]:
        """Files of all stretches."""
        return [self.part_path(camera, start) for camera in self.take.cameras for start in self.starts()]

    def part_path(self, camera: str, start: int) -> Path:
        """File of one finished stretch."""
        return self._parts / f"{self.take.layout.poses2d_file(self.model.name, camera).stem}.{start:08d}.npz"

    def starts(self) -> range:
        """First frame of each stretch."""
        return range(0, self.take.manifest.n_frames, STRETCH)

    def run(self, estimator: Estimator, workers: int, reporter: Reporter, ranks: Ranks) -> None:
        """Estimates this process's share of the stretches that are not there yet."""
        timeline = self.take.timeline()
        share = ranks.share([(v, start) for v in range(len(self.take.cameras)) for start in self.starts()])
        seen = timeline.frame_index >= 0
        total = int(sum(seen[start : start + STRETCH, v].sum() for v, start in share))
        done = 0
        with ThreadPoolExecutor(workers, thread_name_prefix="pose2d") as pool:
            for v, stretches in groupby(share, lambda one: one[0]):
                camera, index = self.take.cameras[v], timeline.frame_index[:, v]
                with _images(self.take, camera) as video:
                    for _, start in stretches:
                        wanted = np.arange(start, min(start + STRETCH, len(index)))
                        wanted = wanted[index[wanted] >= 0]
                        path = self.part_path(camera, start)
                        if not path.is_file():
                            found: list[Found] = []
                            for batch in _estimated(video, wanted, index, estimator, pool, workers):
                                check(reporter)
                                found += batch
                                reporter.progress(done + len(found), total, _STAGE)
                            Chunk.of(found, len(estimator.skeleton)).save(path)
                        done += len(wanted)
                        reporter.progress(done, total, _STAGE)

    def finish(self, estimator: Estimator, request: dict[str, Any]) -> None:
        """Puts the parts together; the manifest goes first and comes last, so that no half result is ever read."""
        layout, name = self.take.layout, self.model.name
        n_frames = self.take.manifest.n_frames
        self._manifest.unlink(missing_ok=True)
        people: dict[str, float] = {}
        for camera in self.take.cameras:
            paths = [self.part_path(camera, start) for start in self.starts()]
            parts = [Chunk.load(path, with_heatmaps=False) for path in paths]
            poses = assemble_poses(camera, estimator.skeleton, parts, n_frames)
            poses.save(layout.poses2d_file(name, camera))
            heatmaps = layout.heatmaps_file(name, camera)
            if any(p.shape != (0, 0) for p in parts):
                # Chunk by chunk: the maps of a long take do not fit into memory.
                assemble_heatmaps(heatmaps, estimator.skeleton, (Chunk.load(path) for path in paths), parts, n_frames)
            else:
                heatmaps.unlink(missing_ok=True)
            people[camera] = _per_image(poses, sum(len(p.frames) for p in parts))
        manifest = {
            "estimator": name,
            "title": self.model.title,
            "licence": self.model.licence,
            "skeleton": estimator.skeleton.name,
            "heatmaps": self.has_heatmaps(),
            "people_per_image": people,
            "provider": estimator.provider.name,
            "onnxruntime": onnxruntime.__version__,
            "code_version": __version__,
            "request": request,
        }
        write_yaml(self._manifest, manifest)
        shutil.rmtree(self._parts)

    def has_heatmaps(self) -> bool:
        """Whether every camera's heatmaps are stored."""
        return all(self.take.layout.heatmaps_file(self.model.name, c).is_file() for c in self.take.cameras)


def _images(take: Take, camera: str) -> VideoReader:
    return VideoReader(take.video_path(camera), take.camera(camera).rotation_deg)


def _estimated(
    video: VideoReader,
    frames: np.ndarray,
    index: np.ndarray,
    estimator: Estimator,
    pool: ThreadPoolExecutor,
    workers: int,
) -> Iterator[list[Found]]:
    """Detections of some frames, in order: images are decoded here while the pool works on earlier ones."""
    waiting: deque[Future[list[Found]]] = deque()
    try:
        for first in range(0, len(frames), estimator.batch):
            batch = frames[first : first + estimator.batch].tolist()
            images = [video.read(int(index[t])) for t in batch]
            waiting.append(pool.submit(_estimate, estimator, batch, images))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _estimate(estimator: Estimator, frames: Sequence[int], images: Sequence[U8]) -> list[Found]:
    return [(t, found, pack_heatmaps(found)) for t, found in zip(frames, estimator.estimate(images), strict=True)]


def _request(take: Take, model: ModelCard, files: dict[str, Path], params: Pose2DParams) -> dict[str, Any]:
    """Everything that the result depends on, as plain values: equal requests have equal results."""
    config = to_mapping(params.pose2d)
    config.pop("provider")  # processors differ by rounding only
    return {
        "revision": REVISION,
        "runner": model.runner,
        "config": config,
        "models": {role: sha256(path) for role, path in files.items()},
        "timeline": sha256(take.layout.timestamps),
        "videos": {c.name: [_fingerprint(take.video_path(c.name)), c.rotation_deg] for c in take.manifest.cameras},
    }


def _fingerprint(path: Path, ends: int = 1 << 20) -> str:
    """Hash of a video's size and of its first and last megabyte: takes may have many gigabytes."""
    if not path.is_file():
        raise CoreError(f"The video {path} is missing.", "Put it back, or import the take again.")
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        digest.update(file.read(ends))
        file.seek(max(0, size - ends))
        digest.update(file.read(ends))
    return digest.hexdigest()


def _per_image(poses: Pose2D, images: int) -> float:
    return round(float(poses.present.sum()) / max(images, 1), 3)


def _summary(take: Take, model: ModelCard, *, cached: bool) -> dict[str, Any]:
    manifest = read_yaml(take.layout.poses2d_manifest(model.name))
    timeline = take.timeline()
    return {
        "take": take.name,
        "estimator": model.name,
        "cached": cached,
        "images": int((timeline.frame_index >= 0).sum()),
        "people_per_image": manifest["people_per_image"],
        "heatmaps": manifest["heatmaps"],
        "provider": manifest["provider"],
    }


def _tell(result: dict[str, Any], reporter: Reporter) -> None:
    people: dict[str, float] = result["people_per_image"]
    counts = ", ".join(f"{name} {mean:.1f}" for name, mean in people.items())
    reporter.note(f"People per image: {counts}.")
    nobody = [name for name, mean in people.items() if mean == 0]
    if nobody:
        reporter.note(
            f"Nobody was found in {', '.join(nobody)}: check the image, or raise the long side of the network's "
            "input for small people.",
            "warning",
        )
