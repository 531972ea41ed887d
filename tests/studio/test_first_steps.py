"""Tests of the start without a display, of new sessions, and of the names of results."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtCore import Qt

from core.errors import CoreError
from core.session import BASELINE, Session
from core.session.naming import give_title, result_slug
from studio.display import display_problem
from studio.main_window import MainWindow
from studio.shell.new_session_dialog import NewSessionDialog
from studio.state.results import result_title

RUN = "20261130-140300-run-train"


def _start(**changes: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")}
    return subprocess.run(
        [sys.executable, "-m", "studio"], env=environment | changes, capture_output=True, text=True, timeout=120
    )


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems always have a display")
@pytest.mark.parametrize("changes", [{}, {"DISPLAY": ":4711"}, {"WAYLAND_DISPLAY": "wayland-99"}])
def test_without_a_display_one_sentence_says_what_to_do(changes: dict[str, str]) -> None:
    done = _start(**changes)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "selfpose --help" in done.stderr
    assert "--headless" in done.stderr


def test_a_display_is_one_that_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    assert "no display" in display_problem({})
    assert not display_problem({"QT_QPA_PLATFORM": "offscreen"})
    assert display_problem({"QT_QPA_PLATFORM": "xcb"})
    assert "'nonsense'" in display_problem({"DISPLAY": "nonsense"})
    environment = {"WAYLAND_DISPLAY": "wayland-0", "XDG_RUNTIME_DIR": str(tmp_path)}
    assert display_problem(environment)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "wayland-0"))
        server.listen()
        assert not display_problem(environment)
    with socket.socket() as server:  # as ssh forwards it
        server.bind(("127.0.0.1", 0))
        number = server.getsockname()[1] - 6000
        if number > 0:
            server.listen()
            assert not display_problem({"DISPLAY": f"localhost:{number}.0"})


# ---- new sessions


def test_a_session_is_not_made_inside_another(tmp_path: Path) -> None:
    Session.create(tmp_path / "first")
    for root in (tmp_path / "first" / "second", tmp_path / "first" / "takes" / "second"):
        with pytest.raises(CoreError, match="is itself a session"):
            Session.create(root)
        assert not root.exists()
    Session.create(tmp_path / "second")


@pytest.mark.slow
def test_a_second_new_session_lies_beside_the_first(window: MainWindow, qtbot, tmp_path: Path) -> None:
    for name in ("Studio A", "Studio B"):
        dialog = NewSessionDialog(tmp_path, window)
        dialog.chosen.connect(window.create_session)
        dialog.open()
        dialog.name.clear()
        qtbot.keyClicks(dialog.name, name)
        qtbot.keyClick(dialog.name, Qt.Key.Key_Return)
        assert window.state.session is not None
        assert window.state.session.name == name
        assert window.state.session.root.parent == tmp_path
    dialog = NewSessionDialog(tmp_path, window)
    for name, place, problem in (
        ("Studio A", tmp_path, "not empty"),
        ("", tmp_path, "cannot be used as a name"),
        ("more", tmp_path / "Studio_A", "is itself a session"),
        ("more", "", "Choose a location"),
    ):
        dialog.name.setText(name)
        dialog.place.setText(str(place))
        assert problem in dialog.problem.text()
        assert not dialog.go.isEnabled()
    dialog.place.setText(str(tmp_path))
    assert dialog.go.isEnabled()
    dialog.reject()


# ---- names of results


def test_a_result_has_one_name_that_can_be_changed(sample_session: Session) -> None:
    take = sample_session.take("two_people")
    assert result_title(BASELINE, take) == "Triangulation"
    assert result_title("fast", take) == "Shipped Fast"
    assert result_title(RUN, take) == "Trained 30 Nov, 14:03"
    give_title(take, RUN, "  With the new floor ")
    assert result_title(RUN, take) == "With the new floor"
    assert result_title(BASELINE, take) == "Triangulation"
    assert RUN not in take.poses3d_runs()  # the titles are no result
    give_title(take, RUN, "")
    assert result_title(RUN, take) == "Trained 30 Nov, 14:03"
    (take.layout.poses3d_root / "titles.yaml").write_text("[1, 2", encoding="utf-8")
    assert result_title(RUN, take) == "Trained 30 Nov, 14:03"


def test_exported_files_are_named_for_people() -> None:
    assert result_slug(BASELINE) == "baseline"
    assert result_slug("fast") == "fast"
    assert result_slug(RUN) == "trained_20261130-140300"
