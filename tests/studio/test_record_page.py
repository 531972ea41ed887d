"""Tests of the Record page with many takes: what is decoded, where, and when."""

from __future__ import annotations

import dataclasses
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtWidgets import QApplication, QPushButton

from core.capture.modes import CameraMode
from core.capture.source import FoundCamera
from core.errors import CoreError
from core.pipelines.params import ImportTakeParams
from core.session import Session
from core.session.status import session_status
from core.session.video import VideoReader
from core.session.volume import active_volume
from studio.main_window import MainWindow
from studio.pages.record import presenter
from studio.pages.record.cut_dialog import CutDialog
from studio.pages.record.page import RecordPage
from studio.state.app_state import AppState
from studio.widgets.images.image_view import first_thumbnail


@pytest.fixture
def many(sample_session: Session) -> Session:
    """Provide the sample with eleven copies of its take; the videos are links."""
    take = sample_session.take("two_people")
    for number in range(11):
        copy = sample_session.layout.take(f"take_{number:02d}")
        shutil.copytree(take.layout.root, copy.root, copy_function=_link)
        sample_session.write_take(dataclasses.replace(take.manifest, name=copy.name), take.timeline())
    return sample_session


def opened(window: MainWindow, qtbot, session: Session) -> RecordPage:
    """Return the Record page with the only take of a session."""
    window.open_path(session.root)
    window.show_page("record")
    page = window.pages["record"]
    qtbot.waitUntil(lambda: len(page.takes) == 1, timeout=20_000)
    return page


def _link(source: str, target: str) -> None:
    (os.link if source.endswith(".mp4") else shutil.copy2)(source, target)


@pytest.mark.slow
def test_videos_are_decoded_off_the_windows_thread_and_only_in_sight(
    window: MainWindow, qtbot, many: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[str] = set()
    opened: set[Path] = set()
    init = VideoReader.__init__

    def spy(self: VideoReader, path: Path, *args: object, **kwargs: object) -> None:
        threads.add(threading.current_thread().name)
        opened.add(Path(path).parent)
        init(self, path, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(VideoReader, "__init__", spy)
    window.open_path(many.root)
    qtbot.waitUntil(lambda: window.state.session is not None)
    threads.clear()
    opened.clear()
    window.show_page("record")
    page = window.pages["record"]
    qtbot.waitUntil(lambda: len(page.takes) == 12, timeout=20_000)
    assert [widget.take.name for widget in page.takes] == many.take_names()
    first, last = page.takes[0], page.takes[-1]
    qtbot.waitUntil(lambda: first.images is not None and all(t.loaded for t in first.images.tiles), timeout=20_000)
    assert last.images is None  # out of sight
    assert many.layout.take(last.take.name).root not in opened

    def last_is_shown() -> bool:
        bar = page.area.verticalScrollBar()
        bar.setValue(bar.maximum())  # cards above may still grow
        return last.images is not None

    qtbot.waitUntil(last_is_shown, timeout=20_000)
    page.area.verticalScrollBar().setValue(page.area.verticalScrollBar().maximum())
    qtbot.waitUntil(lambda: any(t.loaded for t in last.images.tiles), timeout=20_000)
    assert all(name.startswith("window") for name in threads), threads


def test_a_thumbnail_is_stored_until_the_video_changes(sample_session: Session) -> None:
    take = sample_session.take("two_people")
    stored, video = take.layout.first_image("cam01"), take.video_path("cam01")
    image = first_thumbnail(take, "cam01")
    assert max(image.width(), image.height()) == 960
    assert image.height() > image.width()  # upright, as the take is shown
    written = stored.stat().st_mtime_ns
    again = first_thumbnail(take, "cam01")
    assert again.size() == image.size()
    assert stored.stat().st_mtime_ns == written
    os.utime(video, ns=(written + 1, written + 1))
    first_thumbnail(take, "cam01")
    assert stored.stat().st_mtime_ns > written
    stored.write_bytes(b"no image")
    assert first_thumbnail(take, "cam01").size() == image.size()


def test_the_volume_of_many_takes_is_derived_in_the_background(state: AppState, qtbot, many: Session) -> None:
    expected = active_volume(many, many.take_names(), state.volume._spacing_mm)
    state.set_session(many)
    derived = qtbot.waitSignal(state.volume.changed, timeout=20_000)
    with derived, pytest.raises(CoreError, match="being derived from 12 takes"):
        state.volume.current()
    np.testing.assert_array_equal(state.volume.current().volume.centre_mm, expected.volume.centre_mm)
    with qtbot.assertNotEmitted(state.volume.changed, wait=100):  # known from now on
        state.volume.current()


@pytest.mark.slow
def test_a_take_is_trimmed_and_split_from_its_menu(
    window: MainWindow, qtbot, sample_session: Session, ended: Callable[[AppState], None]
) -> None:
    page = opened(window, qtbot, sample_session)
    page.takes[0].trim.trigger()
    trim = next(w for w in QApplication.topLevelWidgets() if isinstance(w, CutDialog) and w.isVisible())
    assert not trim.go.isEnabled()  # nothing is cut off yet
    start, end = trim.times
    start.setValue(end.value())
    assert trim.problem.text() == "The part has to start before it ends."
    start.setValue(1.0)
    trim.name.setText("two_people")
    assert "already exists" in trim.problem.text()
    trim.name.setText("late")
    trim.go.click()
    ended(window.state)
    qtbot.waitUntil(lambda: [w.take.name for w in page.takes] == ["late", "two_people"], timeout=20_000)
    whole, late = sample_session.take("two_people"), sample_session.take("late")
    first = whole.manifest.n_frames - late.manifest.n_frames
    np.testing.assert_array_equal(late.timeline().frame_index, whole.timeline().frame_index[first:])
    assert whole.timeline().time_s[first] == pytest.approx(1.0, abs=0.02)
    page.takes[1].split.trigger()
    split = next(w for w in QApplication.topLevelWidgets() if isinstance(w, CutDialog) and w.isVisible())
    split.go.click()
    names = ["late", "two_people", "two_people_a", "two_people_b"]
    qtbot.waitUntil(lambda: [w.take.name for w in page.takes] == names, timeout=60_000)


def test_new_takes_are_certified_in_the_background_one_after_the_other(
    window: MainWindow, qtbot, sample_session: Session
) -> None:
    window.open_path(sample_session.root)
    qtbot.waitUntil(lambda: window.state.session is not None)
    window.show_page("record")
    page, jobs = window.pages["record"], window.state.jobs
    assert presenter.take_result(sample_session, "two_people").certify
    for name in ("two_people", "other"):
        page.sync_check.add(name)
    (job,) = jobs.active
    assert job.verb == "certify" and job.job.spec.params["take"] == "two_people"
    assert not jobs.why_not(), "it holds up no other job"
    assert page.sync_check.runs_for("two_people") and page.sync_check.runs_for("other")
    jobs.cancel(job)
    qtbot.waitUntil(lambda: len(jobs.jobs) == 2, timeout=30_000)
    assert not page.sync_check.runs_for("two_people")


@pytest.mark.slow
def test_imported_takes_are_certified_and_others_offer_it(
    window: MainWindow, qtbot, sample_session: Session, ended: Callable[[AppState], None]
) -> None:
    page = opened(window, qtbot, sample_session)
    assert "synchronisation of two_people was not checked" in session_status(sample_session)["take"].reason
    take = sample_session.take("two_people")
    videos = tuple(str(take.video_path(name)) for name in take.cameras)
    params = ImportTakeParams(videos=videos, cameras=take.cameras, name="again")
    window.state.jobs.start(sample_session, "import-take", params, "Import")
    qtbot.waitUntil(lambda: page.result.take == "again", timeout=60_000)
    qtbot.waitUntil(lambda: page.sync_check.runs_for("again"), timeout=20_000)
    for job in window.state.jobs.active:
        window.state.jobs.cancel(job)
    ended(window.state)
    qtbot.waitUntil(lambda: len(page.takes) == 2, timeout=20_000)

    def offered() -> bool:
        return any(push.text() == "Check sync" for push in page.takes[0].findChildren(QPushButton))

    qtbot.waitUntil(offered, timeout=20_000)
    sample_session.layout.rig.unlink()
    card = presenter.take_cards(sample_session)[0]
    assert not card.certifiable and "once the cameras are calibrated" in card.unchecked


def test_a_camera_that_was_found_is_added_in_one_of_its_modes(window: MainWindow, sample_session: Session) -> None:
    window.open_path(sample_session.root)
    page, cameras = window.pages["record"], window.state.cameras
    small, large = (CameraMode(size_px=size_px, fps=30.0, format="mjpeg") for size_px in ((640, 480), (1280, 720)))
    cameras.found = (FoundCamera(address="v4l2:/dev/video99", title="Webcam", modes=(small, large)),)
    page.adding.fill()
    modes = page.adding.push.entries.actions()[0].menu()
    assert [action.text() for action in modes.actions()] == ["Automatic", str(large), str(small)]
    modes.actions()[2].trigger()
    assert cameras.cameras[-1].endswith("=v4l2:/dev/video99?size=640x480&fps=30&format=mjpeg")
    page.adding.fill()
    assert not page.adding.push.entries.actions()[0].isEnabled(), "it is used"
