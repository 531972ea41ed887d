"""Bodies over the videos: drawn on the decoders' threads where the cameras see them, and only while they are shown."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from conftest import wait_until_drawn
from pytestqt.qtbot import QtBot

from core.body.model import BODY_TO_WORLD
from core.body.models.free import free_body
from core.geometry import project
from core.geometry.so3 import log
from core.session import Session
from core.types import CameraRig, Pose3DSequence
from core.types.body import BodySequence
from studio.pages.view.options import SHOW_VIDEO_BODIES
from studio.pages.view.page import ViewPage


def standing(poses: Pose3DSequence) -> BodySequence:
    """Return upright bodies in the T pose at the hips of people; absent where they are."""
    model, (T, P) = free_body(), poses.xyz_mm.shape[:2]
    hips = [poses.skeleton.index(f"{side}_hip") for side in ("left", "right")]
    rotations = np.zeros((T, P, len(model.joints), 3), np.float32)
    rotations[:, :, 0] = log(BODY_TO_WORLD)
    pelvis = poses.xyz_mm[:, :, hips].mean(2)
    rotations[np.isnan(pelvis[..., 0])] = np.nan
    betas = np.zeros((P, model.n_shape))
    return BodySequence(
        model=model.name,
        joints=model.joints,
        time_s=poses.time_s,
        person_ids=poses.person_ids,
        betas=betas,
        rotations_rad=rotations,
        pelvis_mm=pelvis,
    )


def test_bodies_lie_over_the_people_in_the_videos(
    open_view: Callable[[Session], ViewPage],
    qtbot: QtBot,
    numbered_session: Session,
    poses: Pose3DSequence,
    rig: CameraRig,
) -> None:
    take = numbered_session.take("walk")
    take.layout.bodies_root.mkdir(exist_ok=True)
    bodies = standing(poses)
    bodies.save(take.layout.bodies("baseline"))
    page = open_view(numbered_session)
    toggle = page.toolbar.toggle(SHOW_VIDEO_BODIES.name)
    assert toggle.isVisible() and toggle.isChecked()
    for name, pane in page.panes.panes.items():
        assert pane.layer is not None and pane.image is not None
        covered = np.zeros(pane.image.shape[:2], bool)
        height, width = pane.layer.rgba.shape[:2]
        part = slice(pane.layer.top, pane.layer.top + height), slice(pane.layer.left, pane.layer.left + width)
        covered[part] = pane.layer.rgba[..., 3] > 127
        scale = pane.image.shape[1] / rig[name].size_px[0]
        seen = (project(rig[name], bodies.pelvis_mm[0]) + 0.5) * scale - 0.5
        for x, y in seen.round().astype(int):
            if 0 <= x < covered.shape[1] and 0 <= y < covered.shape[0]:
                assert covered[y, x]
        assert 0.002 < covered.mean() < 0.5
    toggle.trigger()
    wait_until_drawn(page, qtbot)
    assert all(pane.layer is None for pane in page.panes.panes.values())


def test_without_bodies_there_is_no_toggle(open_view: Callable[[Session], ViewPage], numbered_session: Session) -> None:
    assert not open_view(numbered_session).toolbar.toggle(SHOW_VIDEO_BODIES.name).isVisible()
