"""Joints under the pointer, and the graphs of pinned joints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from conftest import move_mouse, wait_until_drawn
from PySide6.QtCore import QPoint, QPointF, Qt
from pytestqt.qtbot import QtBot

from core.body.models.registry import load_body_model
from core.session import Session
from core.types import COCO17, BodySequence, Pose3DSequence
from studio.pages.view.joints.graphs import thinned
from studio.pages.view.joints.picking import Pin, nearest_point
from studio.pages.view.joints.series import JointMotions, joint_series
from studio.pages.view.page import ViewPage

Open = Callable[[Session], ViewPage]


def test_the_motion_of_a_joint_is_what_it_does() -> None:
    time_s = np.arange(60) / 30
    xyz_mm = np.full((60, 1, 17, 3), np.nan)
    hip, knee, ankle = COCO17.indices("left_hip", "left_knee", "left_ankle")
    bend = np.radians(np.linspace(180, 90, 60))
    xyz_mm[:, 0, knee] = np.stack([1500 * time_s, 0 * time_s, np.full(60, 500.0)], -1)
    xyz_mm[:, 0, hip] = xyz_mm[:, 0, knee] + (0, 0, 400)
    xyz_mm[:, 0, ankle] = xyz_mm[:, 0, knee] + 400 * np.stack([np.sin(bend), 0 * bend, np.cos(bend)], -1)
    score = np.where(np.isfinite(xyz_mm).all(-1), 0.75, 0.0)
    covariance = np.broadcast_to(np.diag([9.0, 4.0, 36.0]), (60, 1, 17, 3, 3)).astype(np.float32)
    poses = Pose3DSequence(
        skeleton=COCO17, time_s=time_s, xyz_mm=xyz_mm, score=score, person_ids=(1,), covariance_mm2=covariance
    )
    series = joint_series(poses, 0, knee)
    np.testing.assert_allclose(series.angle_deg, np.degrees(bend))
    np.testing.assert_allclose(series.speed_m_s, 1.5)
    np.testing.assert_allclose(series.sigma_mm, 7.0)
    assert dict(series.rows(59)) == {
        "Speed": "1.50 m/s",
        "Angle": "90°",
        "Height": "0.50 m",
        "Uncertainty": "± 7 mm",
        "Confidence": "75 %",
    }
    assert joint_series(poses, 0, COCO17.index("nose")).rows(0) == ()


def test_the_angles_of_a_joint_are_those_of_its_body(poses: Pose3DSequence) -> None:
    model, (T, P) = load_body_model("free"), poses.score.shape[:2]
    rotations = np.zeros((T, P, len(model.joints), 3), np.float32)
    rotations[:, 1, model.joints.index("left_knee"), 0] = np.radians(np.linspace(0, 94, T))
    bodies = BodySequence(
        model="free",
        joints=model.joints,
        time_s=poses.time_s,
        person_ids=poses.person_ids[::-1],
        betas=np.zeros((P, model.shape_dirs_mm.shape[-1])),
        rotations_rad=rotations[:, ::-1],
        pelvis_mm=np.zeros((T, P, 3)),
    )
    motions, knee = JointMotions(poses, bodies), poses.skeleton.index("left_knee")
    assert dict(motions.rows(1, knee, T - 1))["Flexion"] == "94°"
    np.testing.assert_allclose(motions.series(1, knee).body_angles["flexion"], np.linspace(0, 94, T), atol=1e-3)
    assert "Angle" not in dict(motions.rows(1, knee, 0)) and dict(motions.rows(0, knee, T - 1))["Flexion"] == "0°"
    hip = dict(motions.rows(1, poses.skeleton.index("right_hip"), 0))
    assert {"Flexion", "Abduction", "Rotation"} <= set(hip)


def test_the_nearest_visible_joint_within_reach_is_found() -> None:
    points = np.array([[np.nan, np.nan], [100.0, 100.0], [108.0, 100.0]])
    assert nearest_point(points, (103, 100)) == 1
    assert nearest_point(points, (106, 101)) == 2
    assert nearest_point(points, (150, 100)) is None
    assert nearest_point(points[:1], (0, 0)) is None


def test_a_joint_is_named_pinned_and_followed(
    open_view: Open, qtbot: QtBot, numbered_session: Session, poses: Pose3DSequence
) -> None:
    replace(poses, xyz_mm=poses.xyz_mm + (0, 0, 50.0)).save(
        numbered_session.take("walk").layout.poses3d("20260102-030405-train")
    )
    page = open_view(numbered_session)
    page._state.select_poses("baseline")
    wait_until_drawn(page, qtbot)
    knee, canvas = poses.skeleton.index("left_knee"), page.viewport.native
    x, y = np.round(page.viewport.project_to_widget(poses.xyz_mm[0, 1, knee])[0]).astype(int).tolist()
    move_mouse(canvas, QPoint(x + 1, y))
    assert page.pointer.tip.title == "Person 2, left knee"
    assert dict(page.pointer.tip.rows)["Confidence"] == "90 %"
    qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=QPoint(x, y))
    qtbot.waitUntil(lambda: page.graphs.curves[0].selected is not None)
    (curve,) = page.graphs.curves
    assert curve.pin == Pin(2, "left_knee") and curve.compared is None
    page._compare("20260102-030405-train")
    qtbot.waitUntil(lambda: page.graphs.curves[0].compared is not None)
    (curve,) = page.graphs.curves
    assert curve.selected is not None and curve.compared is not None
    np.testing.assert_allclose(curve.compared.series.height_mm, curve.selected.series.height_mm + 50)
    middle = QPoint(round(page.timeline.bar.x_of(30.5)), 40)
    qtbot.mouseClick(page.graphs.plot.viewport(), Qt.MouseButton.LeftButton, pos=middle)
    assert page.timeline.frame == 30
    assert page.graphs.plot.playhead.value() == 30.5
    view = page.graphs.plot.plotItem.vb
    qtbot.waitUntil(lambda: abs(view.mapViewToScene(QPointF(30.5, 0)).x() - page.timeline.bar.x_of(30.5)) < 1)
    move_mouse(canvas, QPoint(2, 2))
    assert page.pointer.tip.isHidden()
    page._state.set_session(None)
    page._state.set_session(numbered_session)
    assert [c.pin for c in page.graphs.curves] == [Pin(2, "left_knee")], "pins last as long as the window"
    page.graphs.close_pin(Pin(2, "left_knee"))
    assert page.graphs.isHidden()


def test_a_long_curve_keeps_its_peaks_and_gaps_in_few_points() -> None:
    values = np.zeros(100_000)
    values[[70_003, 20_000]] = 5.0, -3.0
    values[40_000:41_000] = np.nan
    x, thin = thinned(values)
    assert len(x) == len(thin) <= 3000
    assert (np.nanmin(thin), np.nanmax(thin)) == (-3.0, 5.0)
    assert abs(x[np.nanargmax(thin)] - 70_003) < 70 and np.isnan(thin[(x > 40_100) & (x < 40_900)]).all()
    np.testing.assert_array_equal(thinned(values[:100])[1], values[:100])
