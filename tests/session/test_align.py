"""Compensation of time offsets in 2D poses."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from core.geometry import ideal_points, project, triangulate
from core.session.align import align_poses2d, nearest_rows
from core.session.timeline import Timeline
from core.synthetic.observe import boxes
from core.synthetic.people import walkers
from core.synthetic.rigs import ring_rig
from core.types.arrays import F64
from core.types.camera import CameraRig
from core.types.pose2d import Pose2D
from core.types.skeleton import COCO17

FPS = 20.0
TIME_OFFSET_S = (0.03, -0.045, 0.0, 0.08)


def scene() -> tuple[CameraRig, Timeline, F64, dict[str, Pose2D]]:
    """Two walkers with exact 2D joints at the time of each exposure, listed in alternating order."""
    fine = walkers(2, 1200, np.random.default_rng(3), fps=200.0)
    rig = ring_rig(4)
    rig = dataclasses.replace(
        rig, cameras=tuple(c.replace(time_offset_s=s) for c, s in zip(rig, TIME_OFFSET_S, strict=True))
    )
    time_s = np.arange(20, 100) / FPS
    truth = fine.xyz_mm[np.rint(time_s * 200).astype(int)]
    poses = {}
    for camera in rig:
        at = np.rint((time_s - camera.time_offset_s) * 200).astype(int)
        xy = project(camera, fine.xyz_mm[at])
        xy[1::2] = xy[1::2, ::-1]  # the order carries no identity
        score = np.isfinite(xy).all(-1).astype(float)
        poses[camera.name] = Pose2D(camera=camera.name, skeleton=COCO17, xy_px=xy, score=score, box_px=boxes(xy))
    recorded = np.repeat(time_s[:, None], 4, 1)
    index = np.repeat(np.arange(len(time_s))[:, None], 4, 1)
    timeline = Timeline(cameras=rig.names, time_s=time_s - time_s[0], frame_index=index, frame_time_s=recorded)
    return rig, timeline, truth, poses


def error_mm(rig: CameraRig, poses: dict[str, Pose2D], truth: F64) -> float:
    """Median distance of triangulated joints from the truth, which also gives the identities."""
    exact = np.stack([project(c, truth) for c in rig])
    views = []
    for v, name in enumerate(rig.names):
        xy = np.asarray(poses[name].xy_px, float)
        swapped = xy[:, ::-1]
        near = [np.nan_to_num(np.linalg.norm(p - exact[v], axis=-1)).sum((1, 2)) for p in (xy, swapped)]
        views.append(np.where((near[0] <= near[1])[:, None, None, None], xy, swapped))
    ideal = ideal_points(rig, np.stack(views))
    found = triangulate(rig, ideal, np.isfinite(ideal).all(-1).astype(float))
    return float(np.nanmedian(np.linalg.norm(found - truth, axis=-1)[2:-2]))


@pytest.mark.slow
def test_time_offsets_are_compensated() -> None:
    rig, timeline, truth, poses = scene()
    before, after = error_mm(rig, poses, truth), error_mm(rig, align_poses2d(poses, timeline, rig), truth)
    assert before > 10
    assert after < 0.1 * before


@pytest.mark.slow
def test_cameras_without_time_offset_are_unchanged() -> None:
    rig, timeline, _, poses = scene()
    same = dataclasses.replace(rig, cameras=tuple(c.replace(time_offset_s=0.0005) for c in rig))
    assert all(align_poses2d(poses, timeline, same)[n] is poses[n] for n in rig.names)
    moved = align_poses2d(poses, timeline, rig)
    assert moved["cam03"] is poses["cam03"]
    assert moved["cam01"] is not poses["cam01"]


@pytest.mark.slow
def test_gaps_are_not_interpolated_and_no_people_are_added() -> None:
    rig, timeline, _, poses = scene()
    times = np.array(timeline.frame_time_s)
    times[30:36, 0] = np.nan
    index = np.array(timeline.frame_index)
    index[30:36, 0] = -1
    gappy = Timeline(cameras=rig.names, time_s=timeline.time_s, frame_index=index, frame_time_s=times)
    first = poses["cam01"]
    xy, score = first.xy_px.copy(), first.score.copy()
    xy[30:36], score[30:36] = np.nan, 0
    poses["cam01"] = dataclasses.replace(first, xy_px=xy, score=score)
    moved = align_poses2d(poses, gappy, rig)["cam01"]
    assert not moved.present[31:35].any()
    assert moved.present[:29].any(1).all()
    assert (moved.score[~np.isfinite(moved.xy_px).all(-1)] == 0).all()


def test_images_come_from_the_row_that_was_taken_nearest() -> None:
    rig, timeline, _, _ = scene()
    rows = nearest_rows(timeline, rig)
    assert sorted(rows) == ["cam01", "cam02", "cam04"]  # the third has no time offset
    # 30 ms at 50 ms intervals: 20 ms from the next row, 30 ms from the same; 80 ms: 20 ms from two rows on.
    last = len(timeline) - 1
    assert rows["cam01"].tolist() == [*range(1, last + 1), last]
    assert rows["cam02"].tolist() == [0, *range(last)]
    assert rows["cam04"].tolist() == [*range(2, last + 1), last, -1]


def test_rows_of_dropped_images_are_never_taken() -> None:
    rig, timeline, _, _ = scene()
    times, index = np.array(timeline.frame_time_s), np.array(timeline.frame_index)
    times[30:36, 3], index[30:36, 3] = np.nan, -1
    times[:, 0], index[:, 0] = np.nan, -1
    gappy = Timeline(cameras=rig.names, time_s=timeline.time_s, frame_index=index, frame_time_s=times)
    rows = nearest_rows(gappy, rig)
    assert (rows["cam01"] == -1).all()
    # Row 29 was taken at 27.4 steps, row 36 at 34.4: a frame takes it that is no more than a step away.
    assert rows["cam04"][26:37].tolist() == [28, 29, 29, -1, -1, -1, -1, -1, 36, 37, 38]
