"""Synthetic take: three cameras on a ring, two people, videos whose images encode their index; and one page."""

from __future__ import annotations

import gc
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QCoreApplication, QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QApplication, QWidget

from core.session import Session
from core.synthetic.people import walkers
from core.synthetic.rigs import ring_rig
from core.types import CameraRig, Pose3DSequence
from studio.pages.view.page import ViewPage
from studio.state.app_state import AppState
from studio.theme import apply_theme

sys.path.insert(0, str(Path(__file__).parent))
from numbered_take import ABSENT, FPS, N_FRAMES, SIZE_PX, make_take


@pytest.fixture(scope="session")
def rig() -> CameraRig:
    return ring_rig(3, size_px=SIZE_PX, distortion=(-0.05, 0.02, 0.001, 0.0, 0.0))


@pytest.fixture(scope="session")
def poses() -> Pose3DSequence:
    """Return two people; the second is absent for a while, and one wrist of the first is always missing."""
    people = walkers(2, N_FRAMES, np.random.default_rng(3), fps=FPS, half_size_mm=900)
    xyz, score = people.xyz_mm.copy(), np.full(people.score.shape, 0.9)
    xyz[ABSENT, 1], score[ABSENT, 1] = np.nan, 0
    wrist = people.skeleton.index("left_wrist")
    xyz[:, 0, wrist], score[:, 0, wrist] = np.nan, 0
    return replace(people, xyz_mm=xyz, score=score, person_ids=(1, 2))


@pytest.fixture(scope="session")
def numbered_root(tmp_path_factory: pytest.TempPathFactory, rig: CameraRig, poses: Pose3DSequence) -> Path:
    """Create a session with take "walk" and its baseline. Read-only: see `numbered_session`."""
    session = Session.create(tmp_path_factory.mktemp("view") / "numbered")
    make_take(session, rig)
    poses.save(session.take("walk").layout.poses3d("baseline"))
    return session.root


@pytest.fixture
def numbered_session(numbered_root: Path, tmp_path: Path) -> Session:
    """Return a copy for the test."""
    shutil.copytree(numbered_root, tmp_path / "numbered")
    return Session.open(tmp_path / "numbered")


@pytest.fixture(scope="session")
def view(qapp: QApplication) -> Iterator[ViewPage]:
    """Return one page for the whole run: each OpenGL canvas keeps some megabytes."""
    apply_theme(qapp, "dark")
    page = ViewPage(AppState())
    page.resize(1100, 700)
    page.show()
    yield page
    page.shut_down()
    page.close()
    page.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    gc.collect()


Open = Callable[[Session], ViewPage]


@pytest.fixture
def open_view(view: ViewPage, qtbot: object) -> Iterator[Open]:
    """Return a function that opens a session in the page and waits until every image is decoded."""

    def opened(session: Session) -> ViewPage:
        view._state.set_session(session)
        wait_until_drawn(view, qtbot)
        return view

    yield opened
    view.timeline.pause()
    view.volume.edit.setChecked(False)
    view._state.set_session(None)
    view.presenter.options = type(view.presenter.options)()
    view.views.button("perspective").click()


def wait_until_drawn(page: ViewPage, qtbot: object) -> None:
    """Wait until all images of the frame are shown and the 3D view is drawn."""
    qtbot.waitUntil(lambda: page.panes.up_to_date and not page._ticker.running, timeout=20_000)  # type: ignore[attr-defined]


def move_mouse(widget: QWidget, at: QPoint, buttons: Qt.MouseButton = Qt.MouseButton.NoButton) -> None:
    """Send a move of the pointer to a widget, independent of where the pointer of the display is."""
    place = widget.mapToGlobal(at)
    event = QMouseEvent(
        QEvent.Type.MouseMove,
        QPointF(at),
        QPointF(place),
        Qt.MouseButton.NoButton,
        buttons,
        Qt.KeyboardModifier.NoModifier,
    )
    QCoreApplication.sendEvent(widget, event)
