"""Contract of the page table: a page is one folder and one entry; the window derives everything else from it."""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication, QEvent, Qt
from PySide6.QtWidgets import QApplication, QLabel

from core.pipelines.verbs import VERBS
from core.session.status import STEPS
from studio.actions.table import menu_table
from studio.main_window import MainWindow
from studio.pages.registry import PAGES
from studio.settings import SettingsStore
from studio.shell.dialogs import ShortcutsDialog
from studio.specs import PageSpec
from studio.state.app_state import AppState

pytestmark = pytest.mark.slow


_INIT = '''
"""Notes page."""

from studio.specs import ActionSpec, PageSpec

PAGE = PageSpec(
    name="notes",
    title="Notes",
    summary="Write things down",
    icon="info",
    shortcut="Ctrl+7",
    factory="notes_page.page:NotesPage",
    steps=("take",),
    verbs=("check-rig",),
    actions=(ActionSpec(id="notes.add", text="Add note", keys=("Ctrl+T",), needs="session"),),
    keys=(("Notes page", (("Delete the note", "Del"),)),),
)
'''
_PAGE = '''
"""Widget of the notes page."""

from PySide6.QtWidgets import QWidget


class NotesPage(QWidget):
    def __init__(self, state):
        super().__init__()
        self.acted = []

    def why_not(self, action: str) -> str:
        return ""

    def act(self, action):
        self.acted.append(action)
'''


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PageSpec]:
    """Provide the spec of a page in a temporary folder."""
    folder = tmp_path / "notes_page"
    folder.mkdir()
    (folder / "__init__.py").write_text(_INIT, encoding="utf-8")
    (folder / "page.py").write_text(_PAGE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("notes_page").PAGE
    for name in ("notes_page", "notes_page.page"):
        sys.modules.pop(name, None)


@pytest.fixture
def window_with_notes(nothing_left: None, tmp_path: Path, notes: PageSpec) -> Iterator[MainWindow]:
    """Provide the window with one additional page."""
    window = MainWindow(AppState(SettingsStore(tmp_path / "settings.yaml")), (*PAGES, notes))
    window.resize(1280, 720)
    window.show()
    yield window
    assert window.close()
    window.deleteLater()
    del window
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    gc.collect()


def test_a_new_page_is_in_navigation_menus_and_shortcuts(window_with_notes: MainWindow, qtbot, tmp_path: Path) -> None:
    window = window_with_notes
    assert "Write things down" in {label.text() for label in window.welcome.findChildren(QLabel)}
    window.create_session(tmp_path / "mine")
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)

    assert list(window.rail.buttons)[-1] == "notes"
    assert window.rail.buttons["notes"].step_state == "ready"  # state of its step "take"
    qtbot.mouseClick(window.rail.buttons["notes"], Qt.MouseButton.LeftButton)
    assert window.page_name == "notes"
    qtbot.keyClick(window, Qt.Key.Key_1, Qt.KeyboardModifier.ControlModifier)
    assert window.page_name == "calibrate"
    qtbot.keyClick(window, Qt.Key.Key_7, Qt.KeyboardModifier.ControlModifier)
    assert window.page_name == "notes"

    window.show_page("calibrate")
    menus = {action.text(): action.menu().actions() for action in window.menuBar().actions()}
    assert "Notes" in {action.text() for action in menus["Go"]}
    assert "Add note" in {action.text() for action in menus["Tools"]}
    qtbot.keyClick(window, Qt.Key.Key_T, Qt.KeyboardModifier.ControlModifier)
    assert window.page_name == "notes"
    assert window.pages["notes"].acted == ["notes.add"]

    window.registry["help.shortcuts"].trigger()
    dialog = next(w for w in QApplication.topLevelWidgets() if isinstance(w, ShortcutsDialog) and w.isVisible())
    listed = {label.text() for label in dialog.findChildren(QLabel)}
    assert {"Notes", "Ctrl+7", "Add note", "Ctrl+T", "NOTES PAGE", "Delete the note", "Del"} <= listed
    dialog.accept()


def test_every_verb_and_step_belongs_to_exactly_one_page() -> None:
    verbs = [verb for page in PAGES for verb in page.verbs]
    assert sorted(verbs) == sorted(VERBS)
    steps = [step for page in PAGES for step in page.steps]
    assert sorted(steps) == sorted(STEPS)


def test_names_and_shortcuts_of_pages_differ() -> None:
    for values in ([p.name for p in PAGES], [p.shortcut for p in PAGES], [p.icon for p in PAGES]):
        assert len(values) == len(set(values))
    assert sum(p.landing for p in PAGES) == 1
    assert dict(menu_table(PAGES))["Go"] == tuple(f"page.{p.name}" for p in PAGES)
