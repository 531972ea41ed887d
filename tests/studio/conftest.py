"""Fixtures with the real window on a virtual display; no test may leave widgets or processes behind."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtWidgets import QApplication, QWidget

from core.jobs import reap
from core.session import Session
from studio.main_window import MainWindow
from studio.settings import SettingsStore
from studio.state.app_state import AppState
from studio.theme import apply_theme


@pytest.fixture
def dressed(qapp: QApplication) -> QApplication:
    """Apply the dark theme to the application."""
    apply_theme(qapp, "dark")
    return qapp


@pytest.fixture
def nothing_left(dressed: QApplication) -> Iterator[None]:
    """Fail if a window or a child process outlives the test."""
    windows = set(map(id, _windows()))
    children = set(psutil.Process().children(recursive=True))
    yield
    left = [w for w in _windows() if id(w) not in windows]
    assert not left, f"windows left behind: {left}"
    until = time.monotonic() + 5
    while reap() and time.monotonic() < until:  # a worker exits shortly after its last event
        time.sleep(0.02)
    running = [p for p in psutil.Process().children(recursive=True) if p not in children]
    assert not running, f"processes left behind: {running}"


@pytest.fixture
def state(dressed: QApplication, tmp_path: Path) -> Iterator[AppState]:
    """Provide an `AppState` with its own settings file."""
    app_state = AppState(SettingsStore(tmp_path / "settings.yaml"))
    yield app_state
    app_state.jobs.detach()
    app_state.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@pytest.fixture
def window(nothing_left: None, tmp_path: Path) -> Iterator[MainWindow]:
    """Provide the visible main window without a session."""
    main_window = MainWindow(AppState(SettingsStore(tmp_path / "settings.yaml")))
    main_window.resize(1280, 720)
    main_window.show()
    yield main_window
    _end_jobs(main_window.state)
    assert main_window.close()
    main_window.deleteLater()
    del main_window
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    gc.collect()


@pytest.fixture
def ended(qtbot: object) -> Callable[[AppState], None]:
    """Provide a function that waits until all jobs have ended."""

    def wait(state: AppState) -> None:
        qtbot.waitUntil(lambda: bool(state.jobs.jobs) and not state.jobs.active, timeout=60_000)  # type: ignore[attr-defined]

    return wait


def _windows() -> list[QWidget]:
    return [w for w in QApplication.topLevelWidgets() if w.isVisible()]


def _end_jobs(state: AppState) -> None:
    for tracked in state.jobs.active:
        tracked.job.kill()
        tracked.job.wait(10)


@pytest.fixture
def opened(window: MainWindow, sample_session: Session) -> MainWindow:
    """Provide the window with the sample session."""
    window.open_path(sample_session.root)
    return window
