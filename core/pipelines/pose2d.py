"""Verb `pose2d`: estimation of 2D poses in every view of a take, and a second look at small people.

Cameras are processed one after the other in chunks of frames. Finished chunks are stored in files, from which an
interrupted run resumes. Results of an earlier run stay valid until the new result is complete. The second look depends
on the rig and is stored separately from the first pass, which does not.
"""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from core import __version__
from core.config import from_mapping, to_mapping
from core.errors import CoreError
from core.files import read_yaml, sha256, write_yaml
from core.jobs.launch import Ranks, launch, wait_for_files
from core.pipelines.params import Pose2DParams
from core.pipelines.second_look import second_look_expected, update_second_look
from core.pose2d.cards import ModelCard, model_card
from core.pose2d.chunks import Chunk, assemble_heatmaps, assemble_poses, pack_heatmaps
from core.pose2d.config import DEFAULT_LONG_SIDE_PX, SCALING_RUNNERS, InputChoice
from core.pose2d.download import DownloadPolicy, model_files
from core.pose2d.estimator import ESTIMATORS, Detections, Estimator
from core.pose2d.probe import choose_input, choose_turns
from core.pose2d.quarter_turns import TurnedEstimator
from core.pose2d.runtime import cpu_threads, results_in_order
from core.progress import Reporter, StageReporter, check
from core.session import RunLayout, Session, Take
from core.session.footage.images import CameraImages, DamagedImages
from core.types.arrays import U8
from core.types.pose2d import Pose2D

REVISION = 1
"""Version of the algorithm; increase it when the same settings give different poses, to recompute stored ones."""

CHUNK = 32
"""Number of frames per chunk."""
_MAX_WORKERS = 8
_STAGE = "Estimating 2D poses"
_FIRST_PASS_SHARE = 0.35
"""Fraction of the total time that the first pass takes, measured on the embedded sample."""
_POLL_S = 0.05
Estimated = tuple[int, Detections, bytes]
"""Frame index, detections, and compressed heatmaps."""


def run_pose2d(session: Session, params: Pose2DParams, run: RunLayout, reporter: Reporter) -> dict[str, Any]:
    """Estimate 2D poses in every view of a take and store them under the name of the estimator.

    Returns:
        `take`, `estimator`, `long_side_px` (of the network input), `cached`, `images`, `people_per_image` (by camera),
        `heatmaps`, `provider` and `second_look` (numbers of images and joints; None without one).

    Raises:
        CoreError: Take or estimator is unknown, the model is missing or wrong, or a video is unreadable.
        CancelledError: The job was stopped; finished chunks are kept.
    """
    take = session.take(params.take)
    model = model_card(params.pose2d.estimator)
    work = _Work(take, model, params)
    policy = DownloadPolicy(allowed=params.allow_download)
    files = model_files(model, params.model_file, policy, reporter)
    work = _with_choices(work, files, reporter)
    params, choice = work.params, work.choice
    request = _request(work, files)
    ranks = Ranks.from_environment()
    share = _FIRST_PASS_SHARE if second_look_expected(session, take, params.pose2d, choice) else 1.0
    first, second = StageReporter(reporter, 0.0, share), StageReporter(reporter, share, 1.0 - share)
    if work.is_done(request):
        first.progress(1, 1, _STAGE)
        reporter.note(f"Take {take.name} already has 2D poses of {model.title} with these settings; they are kept.")
        if ranks.is_main:
            update_second_look(session, take, model, work.params.pose2d, second)
        return _summary(take, model, cached=True)
    if ranks.is_main:
        work.prepare(request)
    else:
        work.wait_prepared(request, first)
    with launch(params.processes, run.root) as ranks:
        estimator = _estimate_share(work, files, params, ranks, first)
        if not ranks.is_main:
            return {}
        check(reporter)
        wait_for_files(work.chunk_paths(), first)
    work.finish(estimator, request)
    _report(_summary(take, model, cached=False), reporter)
    update_second_look(session, take, model, work.params.pose2d, second)
    reporter.progress(1, 1, _STAGE)
    return _summary(take, model, cached=False)


def _with_choices(work: _Work, files: dict[str, Path], reporter: Reporter) -> _Work:
    """Choose orientation and input size if the settings do not: as stored, or else by a probe."""
    config, model = work.params.pose2d, work.model
    if config.long_side_px and config.upright == "off":
        return work
    stored = work.stored(_request(work, files))
    while stored is None and not Ranks.from_environment().is_main:
        check(reporter)
        time.sleep(_POLL_S)
        stored = work.stored(_request(work, files))

    def open_estimator(long_side_px: int) -> Estimator:
        probing = dataclasses.replace(config, long_side_px=long_side_px, heatmaps=False)
        return ESTIMATORS.get(model.runner)(model.name, files, probing)

    turned = dict(stored["request"]["turned_deg"]) if stored is not None else {}
    if stored is None and config.upright == "auto":
        turned = choose_turns(work.take, open_estimator(DEFAULT_LONG_SIDE_PX), reporter)
    work = dataclasses.replace(work, turned_deg=turned)
    if config.long_side_px:
        return work
    if model.runner not in SCALING_RUNNERS:
        choice = InputChoice(long_side_px=DEFAULT_LONG_SIDE_PX, person_px=None)
    elif stored is not None and isinstance(stored.get("input"), dict):
        choice = from_mapping(InputChoice, stored["input"], "input.")
    else:
        choice = choose_input(work.take, open_estimator, turned, reporter)
        reporter.note(choice.message)
    chosen = dataclasses.replace(config, long_side_px=choice.long_side_px)
    return dataclasses.replace(work, params=dataclasses.replace(work.params, pose2d=chosen), choice=choice)


def _estimate_share(
    work: _Work, files: dict[str, Path], params: Pose2DParams, ranks: Ranks, reporter: Reporter
) -> Estimator:
    # Several images with one thread each use the cores better than one image with all threads.
    model, threads = work.model, max(1, cpu_threads() // _MAX_WORKERS)
    estimator = ESTIMATORS.get(model.runner)(model.name, files, params.pose2d, threads)
    reporter.note(estimator.provider.description)
    work.run(estimator, max(1, min(estimator.provider.concurrency, _MAX_WORKERS) // ranks.world_size), reporter, ranks)
    return estimator


@dataclass(frozen=True, slots=True)
class _Work:
    """State of the estimation on disk: chunks, and the files assembled from them.

    Attributes:
        take: The take.
        model: Card of the estimator.
        params: Parameters of the verb.
        choice: Input size chosen for the take; None if the settings specify it.
        turned_deg: Clockwise rotation of images by camera; see `choose_turns`.
    """

    take: Take
    model: ModelCard
    params: Pose2DParams
    choice: InputChoice | None = None
    turned_deg: Mapping[str, int] = field(default_factory=dict)

    @property
    def _chunks(self) -> Path:
        return self.take.layout.poses2d_chunks(self.model.name)

    @property
    def _manifest(self) -> Path:
        return self.take.layout.poses2d_manifest(self.model.name)

    @property
    def _prepared(self) -> Path:
        return self._chunks / "request.yaml"

    def stored(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """Return the stored manifest of a request that is equal except for the choices; None if there is none."""

        def asked(request: dict[str, Any]) -> dict[str, Any]:
            config = {key: value for key, value in request["config"].items() if key != "long_side_px"}
            return {**request, "config": config, "turned_deg": None}

        for file in (self._manifest, self._prepared):
            stored = _mapping(file)
            earlier = stored.get("request")
            if isinstance(earlier, dict) and "turned_deg" in earlier and asked(earlier) == asked(request):
                return stored
        return None

    def is_done(self, request: dict[str, Any]) -> bool:
        """Return whether complete poses for an equal request are stored."""
        stored = _mapping(self._manifest)
        if stored.get("request") != request:
            return False
        layout, name = self.take.layout, self.model.name
        poses = all(layout.poses2d_file(name, c).is_file() for c in self.take.cameras)
        done = poses and (self.has_heatmaps() or not stored.get("heatmaps"))
        if done and self.choice is not None and stored.get("input") is None:
            write_yaml(self._manifest, {**stored, "input": to_mapping(self.choice)})
        return done

    def prepare(self, request: dict[str, Any]) -> None:
        """Delete stored chunks unless they belong to an equal request."""
        if self._chunks.exists() and not self._is_prepared(request):
            shutil.rmtree(self._chunks)
        choice = None if self.choice is None else to_mapping(self.choice)
        write_yaml(self._prepared, {"chunk": CHUNK, "request": request, "input": choice})

    def wait_prepared(self, request: dict[str, Any], reporter: Reporter) -> None:
        """Wait until the main process has prepared the folder for this request."""
        while not self._is_prepared(request):
            check(reporter)
            time.sleep(_POLL_S)

    def _is_prepared(self, request: dict[str, Any]) -> bool:
        stored = _mapping(self._prepared)
        return stored.get("chunk") == CHUNK and stored.get("request") == request

    def chunk_paths(self) -> list[Path]:
        """Return the files of all chunks."""
        return [self.chunk_path(camera, start) for camera in self.take.cameras for start in self.starts()]

    def chunk_path(self, camera: str, start: int) -> Path:
        """Return the file of a chunk."""
        return self._chunks / f"{self.take.layout.poses2d_file(self.model.name, camera).stem}.{start:08d}.npz"

    def starts(self) -> range:
        """Return the first frame of each chunk."""
        return range(0, self.take.manifest.n_frames, CHUNK)

    def run(self, estimator: Estimator, workers: int, reporter: Reporter, ranks: Ranks) -> None:
        """Estimate the missing chunks of this process."""
        timeline = self.take.timeline()
        share = ranks.share([(v, start) for v in range(len(self.take.cameras)) for start in self.starts()])
        has_image = timeline.frame_index >= 0
        total = int(sum(has_image[start : start + CHUNK, v].sum() for v, start in share))
        done, damaged = 0, DamagedImages()
        with ThreadPoolExecutor(workers, thread_name_prefix="pose2d") as pool:
            for v, chunks in groupby(share, lambda chunk: chunk[0]):
                camera, index = self.take.cameras[v], timeline.frame_index[:, v]
                turned = TurnedEstimator(estimator, self.turned_deg.get(camera, 0))
                with CameraImages(self.take, camera, damaged) as video:
                    for _, start in chunks:
                        frames = np.arange(start, min(start + CHUNK, len(index)))
                        frames = frames[index[frames] >= 0]
                        path = self.chunk_path(camera, start)
                        if not path.is_file():
                            estimated: list[Estimated] = []
                            for batch in _estimate_frames(video, frames, index, turned, pool, workers):
                                check(reporter)
                                estimated += batch
                                _progress(done + len(estimated), total, reporter)
                            Chunk.of(estimated, len(estimator.skeleton)).save(path)
                        done += len(frames)
                        _progress(done, total, reporter)
        damaged.report(reporter)

    def finish(self, estimator: Estimator, request: dict[str, Any]) -> None:
        """Assemble the chunks; the manifest is deleted first and written last, so that partial results are invalid."""
        layout, name = self.take.layout, self.model.name
        n_frames = self.take.manifest.n_frames
        self._manifest.unlink(missing_ok=True)
        people: dict[str, float] = {}
        for camera in self.take.cameras:
            paths = [self.chunk_path(camera, start) for start in self.starts()]
            chunks = [Chunk.load(path, with_heatmaps=False) for path in paths]
            poses = assemble_poses(camera, estimator.skeleton, chunks, n_frames)
            poses.save(layout.poses2d_file(name, camera))
            heatmaps = layout.heatmaps_file(name, camera)
            if any(chunk.shape != (0, 0) for chunk in chunks):
                # One chunk at a time, because the heatmaps of a long take do not fit into memory.
                assemble_heatmaps(heatmaps, estimator.skeleton, (Chunk.load(path) for path in paths), chunks, n_frames)
            else:
                heatmaps.unlink(missing_ok=True)
            people[camera] = _per_image(poses, sum(len(chunk.frames) for chunk in chunks))
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
            "input": None if self.choice is None else to_mapping(self.choice),
            "request": request,
        }
        write_yaml(self._manifest, manifest)
        shutil.rmtree(self._chunks)

    def has_heatmaps(self) -> bool:
        """Return whether the heatmaps of every camera are stored."""
        return all(self.take.layout.heatmaps_file(self.model.name, c).is_file() for c in self.take.cameras)


def _mapping(file: Path) -> dict[str, Any]:
    """Return the content of a YAML file; empty if it is missing or damaged."""
    content = read_yaml(file) if file.is_file() else None
    return content if isinstance(content, dict) else {}


def _estimate_frames(
    video: CameraImages,
    frames: np.ndarray,
    index: np.ndarray,
    estimator: Estimator,
    pool: ThreadPoolExecutor,
    workers: int,
) -> Iterator[list[Estimated]]:
    """Estimate undamaged frames in order; decoding overlaps with the processing of earlier images in the pool."""

    def submitted() -> Iterator[Future[list[Estimated]]]:
        for first in range(0, len(frames), estimator.batch):
            read = {t: video.read(int(index[t])) for t in frames[first : first + estimator.batch].tolist()}
            images = {t: image for t, image in read.items() if image is not None}
            if images:
                yield pool.submit(_estimate_batch, estimator, list(images), list(images.values()))

    return results_in_order(submitted(), workers)


def _estimate_batch(estimator: Estimator, frames: Sequence[int], images: Sequence[U8]) -> list[Estimated]:
    return [(t, people, pack_heatmaps(people)) for t, people in zip(frames, estimator.estimate(images), strict=True)]


def _request(work: _Work, files: dict[str, Path]) -> dict[str, Any]:
    """Return all values on which the result depends."""
    take, config = work.take, to_mapping(work.params.pose2d)
    for name in (
        "provider",
        "second_look",
    ):  # providers differ only by rounding; the first pass does not depend on the second look
        config.pop(name)
    return {
        "revision": REVISION,
        "runner": work.model.runner,
        "config": config,
        "turned_deg": dict(work.turned_deg),
        "models": {role: sha256(path) for role, path in files.items()},
        "timeline": sha256(take.layout.timestamps),
        "videos": {c.name: [_fingerprint(take.video_path(c.name)), c.rotation_deg] for c in take.manifest.cameras},
    }


def _fingerprint(path: Path, ends: int = 1 << 20) -> str:
    """Return a hash of the size and of the first and last megabyte of a video, since full hashes take minutes."""
    if not path.is_file():
        raise CoreError(f"The video {path} is missing.", "Put it back, or import the take again.")
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        digest.update(file.read(ends))
        file.seek(max(0, size - ends))
        digest.update(file.read(ends))
    return digest.hexdigest()


def _progress(done: int, total: int, reporter: Reporter) -> None:
    reporter.progress(done, total, f"{_STAGE}: {done} of {total} images")


def _per_image(poses: Pose2D, images: int) -> float:
    return round(float(poses.present.sum()) / max(images, 1), 3)


def _summary(take: Take, model: ModelCard, *, cached: bool) -> dict[str, Any]:
    manifest = read_yaml(take.layout.poses2d_manifest(model.name))
    timeline = take.timeline()
    second_look = manifest.get("second_look") or {}
    return {
        "take": take.name,
        "estimator": model.name,
        "long_side_px": manifest["request"]["config"]["long_side_px"],
        "cached": cached,
        "images": int((timeline.frame_index >= 0).sum()),
        "people_per_image": manifest["people_per_image"],
        "heatmaps": manifest["heatmaps"],
        "provider": manifest["provider"],
        "second_look": {key: value for key, value in second_look.items() if key != "request"} or None,
    }


def _report(result: dict[str, Any], reporter: Reporter) -> None:
    people: dict[str, float] = result["people_per_image"]
    counts = ", ".join(f"{name} {mean:.1f}" for name, mean in people.items())
    reporter.note(f"People per image: {counts}.")
    empty = [name for name, mean in people.items() if mean == 0]
    if empty:
        reporter.note(
            f"No people were found in {', '.join(empty)}: check the images, or increase pose2d.long_side_px if the "
            "people are small.",
            "warning",
        )
