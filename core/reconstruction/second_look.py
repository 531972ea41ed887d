"""Second look: refinement of 2D joints on crops, with triangulated people as priors.

The first pass is triangulated. In every camera that should see a person, even without a detection, the expected joints
are the prior of a second network on a crop at native resolution. The result replaces the joints of the person's
detection, or adds a detection. A joint that the second network misses keeps its position, with half the score.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.association.assignment import assign_detections, size_px
from core.disk import replacing
from core.errors import CoreError
from core.files import safe_name
from core.pose2d.crop_refiner import CropRefiner, JointPriors, joint_boxes
from core.pose2d.quarter_turns import QuarterTurns
from core.pose2d.runtime import cpu_threads, results_in_order
from core.progress import Reporter, check
from core.reconstruction.joint_priors import ExpectedPeople, ViewPriors
from core.reconstruction.triangulated import Triangulator
from core.session import Take
from core.session.align import align_poses2d, exposure_times
from core.session.footage.images import CameraImages, DamagedImages
from core.types.arrays import F32, U8
from core.types.camera import Camera, CameraRig
from core.types.pose2d import Pose2D

CHUNK = 32
"""Number of frames per chunk file of an unfinished second look."""
_STAGE = "Second look at people"
_ASSIGNMENT_GATE = 0.35
"""Maximum distance of a detection from its expected person, relative to the person's size in the image."""
_LOST_WEIGHT = 0.5
"""Score factor of a joint that only the first pass found."""
_MIN_NEW_JOINTS = 5
"""Minimum number of joints of an added detection."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SecondLook:
    """Refined 2D poses.

    Attributes:
        poses2d: 2D poses by camera name; columns of the first pass come first.
        images: Number of processed images.
        moved: Number of joints that replace a joint of the first pass.
        added: Number of joints that the first pass missed.
        kept: Number of joints of processed people that only the first pass found.
    """

    poses2d: Mapping[str, Pose2D]
    images: int
    moved: int
    added: int
    kept: int


def look_again(
    take: Take,
    rig: CameraRig,
    first_pass: Mapping[str, Pose2D],
    turned_deg: Mapping[str, int],
    refiner: CropRefiner,
    chunks: Path,
    reporter: Reporter,
) -> SecondLook:
    """Refine the 2D joints of triangulated people.

    Args:
        take: Take of the poses.
        rig: Posed cameras to triangulate from and to process.
        first_pass: 2D poses of the first pass in COCO joints, by camera name.
        turned_deg: Clockwise rotation in degrees that makes the people of a camera upright; 0 if omitted.
        refiner: Second network.
        chunks: Folder of finished chunks, for resuming an interrupted second look.
        reporter: Receives progress and cancels.

    Raises:
        CoreError: A video cannot be read, or fewer than two cameras are posed.
        CancelledError: The job was cancelled; finished chunks are kept.
    """
    timeline = take.timeline()
    aligned = align_poses2d(first_pass, timeline, rig)
    people = ExpectedPeople.of(Triangulator().reconstruct(rig, aligned, timeline.time_s, reporter))
    exposure_s = exposure_times(timeline, rig)
    plan: dict[str, ViewPriors] = {}
    for camera in rig:
        priors = ViewPriors.of(camera, people.at(exposure_s.get(camera.name, people.time_s)))
        recorded = timeline.frame_index[:, take.cameras.index(camera.name)] >= 0
        priors.visible[~recorded] = False
        plan[camera.name] = priors
    total = sum(int(priors.visible.any(-1).sum()) for priors in plan.values())
    results, done = [], 0
    with ThreadPoolExecutor(cpu_threads(), thread_name_prefix="second-look") as pool:
        for camera in rig:
            view = _View(take, camera.name, turned_deg.get(camera.name, 0), plan[camera.name])
            done = _look_in_view(view, refiner, chunks, pool, (done, total), reporter)
    for camera in rig:
        xy_px, score = _load_view(chunks, camera.name, plan[camera.name])
        results.append(_merge(camera, first_pass[camera.name], plan[camera.name], xy_px, score))
    return SecondLook(
        poses2d={**first_pass, **{r.poses.camera: r.poses for r in results}},
        images=total,
        moved=sum(r.moved for r in results),
        added=sum(r.added for r in results),
        kept=sum(r.kept for r in results),
    )


@dataclass(frozen=True, slots=True)
class _View:
    """Camera of a take, with the rotation that makes its people upright and the expected people."""

    take: Take
    camera: str
    turned_deg: int
    priors: ViewPriors


def _look_in_view(
    view: _View,
    refiner: CropRefiner,
    chunks: Path,
    pool: ThreadPoolExecutor,
    progress: tuple[int, int],
    reporter: Reporter,
) -> int:
    """Write the missing chunks of one camera, and return the number of processed images."""
    done, total = progress
    take, camera, priors = view.take, view.camera, view.priors
    index = take.timeline().frame_index[:, take.cameras.index(camera)]
    wanted = np.asarray(priors.visible.any(-1))
    with CameraImages(take, camera, DamagedImages()) as video:  # reported by the first pass
        for start in range(0, len(index), CHUNK):
            frames = np.flatnonzero(wanted[start : start + CHUNK]) + start
            path = _chunk_path(chunks, camera, start)
            if not path.is_file():
                xy_px = np.full((len(frames), *priors.xy_px.shape[1:]), np.nan, np.float32)
                score = np.zeros(xy_px.shape[:-1], np.float32)
                looks = _refine_frames(video, view, frames, refiner, pool)
                for k, (joints, scores) in enumerate(looks):
                    check(reporter)
                    xy_px[k], score[k] = joints, scores
                    _progress(done + k + 1, total, reporter)
                with replacing(path) as temporary, temporary.open("wb") as file:
                    np.savez(file, frames=frames, xy_px=xy_px, score=score)
            done += len(frames)
            _progress(done, total, reporter)
    return done


def _refine_frames(
    video: CameraImages, view: _View, frames: np.ndarray, refiner: CropRefiner, pool: ThreadPoolExecutor
) -> Iterator[tuple[F32, F32]]:
    """Refine frames in order; this thread decodes images while the pool processes earlier ones."""
    index = view.take.timeline().frame_index[:, view.take.cameras.index(view.camera)]
    turns, priors = QuarterTurns(view.turned_deg, video.size_px), view.priors

    def refine(image: U8 | None, expected: JointPriors) -> tuple[F32, F32]:
        if image is None:
            missing = np.full(expected.xy_px.shape, np.nan, np.float32)
            return missing, np.zeros(missing.shape[:-1], np.float32)
        xy_px, score = refiner.refine(turns.image(image), expected)
        return turns.inverse.points(xy_px), score

    def submitted() -> Iterator[Future[tuple[F32, F32]]]:
        for t in frames.tolist():
            xy_px = np.where(priors.visible[t][:, None, None], priors.xy_px[t], np.nan)
            covariance_px2 = turns.covariances(priors.covariance_px2[t])
            expected = JointPriors(xy_px=turns.points(xy_px), covariance_px2=covariance_px2)
            yield pool.submit(refine, video.read(int(index[t])), expected)

    return results_in_order(submitted(), cpu_threads())


def _chunk_path(chunks: Path, camera: str, start: int) -> Path:
    return chunks / f"{safe_name(camera)}.{start:08d}.npz"


def _load_view(chunks: Path, camera: str, priors: ViewPriors) -> tuple[F32, F32]:
    """Return joints (T, P, J, 2) and scores (T, P, J) of a camera from its chunks.

    Raises:
        CoreError: A chunk is damaged.
    """
    xy_px = np.full(priors.xy_px.shape, np.nan, np.float32)
    score = np.zeros(xy_px.shape[:-1], np.float32)
    for start in range(0, len(xy_px), CHUNK):
        path = _chunk_path(chunks, camera, start)
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
                xy_px[data["frames"]], score[data["frames"]] = data["xy_px"], data["score"]
        except Exception as error:
            raise CoreError(f"{path} is damaged: {error}.", "Delete it and run 'pose2d' again.") from error
    return xy_px, score


@dataclass(frozen=True, slots=True)
class _Merged:
    """Refined poses of one camera, with the counts of `SecondLook`."""

    poses: Pose2D
    moved: int
    added: int
    kept: int


def _merge(camera: Camera, first: Pose2D, priors: ViewPriors, xy_px: F32, score: F32) -> _Merged:
    """Replace the joints of processed people, and append the people that the first pass missed.

    Args:
        camera: The camera.
        first: 2D poses of the first pass.
        priors: Expected people.
        xy_px: (T, P, J, 2) joints of the second look, NaN where missing.
        score: (T, P, J) scores of the second look.
    """
    joints, scores, boxes = (np.array(a) for a in (first.xy_px, first.score, first.box_px))
    expected = np.where((priors.known & priors.visible[..., None])[..., None], priors.xy_px, np.nan)
    person = assign_detections(expected, joints.astype(float), _ASSIGNMENT_GATE * size_px(joints.astype(float)))
    looked = np.asarray((score > 0).any(-1))  # (T, P)
    t, d = np.nonzero(person >= 0)
    p = person[t, d]
    t, d, p = (a[looked[t, p]] for a in (t, d, p))
    found, had = score[t, p] > 0, scores[t, d] > 0
    joints[t, d] = np.where(found[..., None], xy_px[t, p], joints[t, d])
    scores[t, d] = np.where(found, score[t, p], _LOST_WEIGHT * scores[t, d])
    new = looked & ((score > 0).sum(-1) >= _MIN_NEW_JOINTS)
    new[t, p] = False
    columns = _appended(new)
    poses = Pose2D(
        camera=camera.name,
        skeleton=first.skeleton,
        xy_px=np.concatenate([joints, _gather(xy_px, columns, np.nan)], 1),
        score=np.concatenate([scores, _gather(score, columns, 0.0)], 1),
        box_px=np.concatenate([boxes, _gather(_boxes(xy_px), columns, np.nan)], 1),
    )
    return _Merged(
        poses,
        moved=int((found & had).sum()),
        added=int((found & ~had).sum() + (score[new] > 0).sum()),
        kept=int((~found & had).sum()),
    )


def _appended(new: np.ndarray) -> np.ndarray:
    """Return the indices (T, K) of the people to append per frame, padded with -1, from a mask (T, P)."""
    most = int(new.sum(-1).max(initial=0))
    order = np.argsort(~new, axis=-1, kind="stable")[:, :most]
    return np.where(np.take_along_axis(new, order, -1), order, -1)


def _gather(values: F32, columns: np.ndarray, fill: float) -> F32:
    """Return the rows (T, K, ...) of values (T, P, ...) in the given columns, `fill` for column -1."""
    picked = values[np.arange(len(values))[:, None], columns]
    return np.where((columns < 0).reshape(*columns.shape, *[1] * (values.ndim - 2)), np.float32(fill), picked)


def _boxes(xy_px: F32) -> F32:
    """Return boxes (T, P, 4) around joints (T, P, J, 2)."""
    T, P = xy_px.shape[:2]
    return joint_boxes(xy_px.reshape(T * P, *xy_px.shape[2:]).astype(float)).reshape(T, P, 4).astype(np.float32)


def _progress(done: int, total: int, reporter: Reporter) -> None:
    reporter.progress(done, total, f"{_STAGE}: {done} of {total} images")
