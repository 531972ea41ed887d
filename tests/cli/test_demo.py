"""The embedded sample as a session: whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import CancelledError, CoreError
from core.pipelines.demo import create_demo, demo_folder
from core.progress import RecordingReporter
from core.session import Session


def test_an_interrupted_attempt_leaves_nothing(tmp_path: Path) -> None:
    reporter = RecordingReporter(cancel_after=5)
    with pytest.raises(CancelledError):
        create_demo(tmp_path / "demo", reporter)
    assert list(tmp_path.iterdir()) == []


def test_a_session_that_is_there_is_opened_and_anything_else_refused(tmp_path: Path) -> None:
    own = Session.create(tmp_path / "own", "Mine")
    assert create_demo(tmp_path / "own").name == "Mine" == own.name
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(CoreError, match="not empty"):
        create_demo(tmp_path / "full")
    with pytest.raises(CoreError, match="cannot be written"):
        create_demo(tmp_path / "full" / "file" / "demo")


def test_the_usual_place_is_the_persons_data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert demo_folder().name == "sample"
