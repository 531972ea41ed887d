"""Session of the embedded sample: complete or not there at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import CancelledError, CoreError
from core.pipelines.demo import create_demo, demo_folder
from core.progress import RecordingReporter
from core.session import Session


@pytest.mark.slow
def test_an_interrupted_attempt_leaves_nothing(tmp_path: Path) -> None:
    reporter = RecordingReporter(cancel_after=5)
    with pytest.raises(CancelledError):
        create_demo(tmp_path / "demo", reporter)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_session_is_opened_and_other_folders_are_refused(tmp_path: Path) -> None:
    existing = Session.create(tmp_path / "own", "Mine")
    assert create_demo(tmp_path / "own").name == "Mine" == existing.name
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(CoreError, match="not empty"):
        create_demo(tmp_path / "full")
    with pytest.raises(CoreError, match="cannot be written"):
        create_demo(tmp_path / "full" / "file" / "demo")


def test_the_default_folder_is_in_the_data_folder_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert demo_folder().name == "sample"
