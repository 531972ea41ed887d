"""Table of the actions and menus of the window; those of the pages are in their specs."""

from __future__ import annotations

from collections.abc import Iterable

from studio.specs import ActionSpec, PageSpec

SEPARATOR = "-"
RECENT = "recent"
"""Placeholder of the submenu of recent sessions."""

MenuTable = tuple[tuple[str, tuple[str, ...]], ...]
"""Menus in order: (title, action ids)."""

WINDOW_ACTIONS = (
    ActionSpec(
        id="session.new", text="New session…", icon="plus", keys=("Ctrl+N",), tip="Create an empty session folder"
    ),
    ActionSpec(id="session.open", text="Open session…", icon="folder", keys=("Ctrl+O",), tip="Open a session folder"),
    ActionSpec(
        id="session.sample",
        text="Open sample session",
        icon="spark",
        tip="Real footage of two people from four calibrated cameras",
    ),
    ActionSpec(id="session.folder", text="Show session folder", icon="folder", needs="session"),
    ActionSpec(id="session.close", text="Close session", icon="close", keys=("Ctrl+W",), needs="session"),
    ActionSpec(id="app.quit", text="Quit", keys=("Ctrl+Q",)),
    ActionSpec(id="edit.undo", text="Undo", icon="undo", keys=("Ctrl+Z",), tip="Undo the last change", needs="undo"),
    ActionSpec(
        id="edit.redo",
        text="Redo",
        icon="redo",
        keys=("Ctrl+Shift+Z", "Ctrl+Y"),
        tip="Redo the last undone change",
        needs="redo",
    ),
    ActionSpec(id="take.rename", text="Rename take…", needs="take"),
    ActionSpec(id="take.delete", text="Delete take", tip="Move the selected take to the bin", needs="take"),
    ActionSpec(id="result.rename", text="Rename 3D result…", needs="result"),
    ActionSpec(id="result.delete", text="Delete 3D result", tip="Move the shown result to the bin", needs="result"),
    ActionSpec(id="session.bin", text="Empty bin…", tip="Permanently delete the content of the bin", needs="bin"),
    ActionSpec(id="jobs.cancel", text="Cancel running jobs", icon="stop", needs="running_job"),
    ActionSpec(id="jobs.panel", text="Jobs", icon="jobs", keys=("Ctrl+J",), tip="Show or hide the job list"),
    ActionSpec(id="theme.switch", text="Toggle light and dark theme", icon="moon", keys=("Ctrl+Shift+L",)),
    ActionSpec(id="help.guide", text="Guide", icon="info", tip="Purpose of each page"),
    ActionSpec(id="help.shortcuts", text="Keyboard shortcuts", icon="keyboard", keys=("F1", "?")),
    ActionSpec(id="help.log", text="Show log folder", icon="folder"),
    ActionSpec(id="help.about", text="About SelfPose Studio", icon="info"),
)

SESSION_MENU = ("session.new", "session.open", RECENT, "session.sample", SEPARATOR, "session.folder", "session.close")


def all_actions(pages: Iterable[PageSpec]) -> tuple[ActionSpec, ...]:
    """Return the actions of the window and of the pages."""
    specs = list(WINDOW_ACTIONS)
    for page in pages:
        specs += [page.action, *page.actions]
    return tuple(specs)


def menu_table(pages: Iterable[PageSpec]) -> MenuTable:
    """Return the menus, which contain every action exactly once."""
    pages = tuple(pages)
    tools: list[str] = []
    for page in pages:
        if page.actions:
            tools += [*(action.id for action in page.actions), SEPARATOR]
    return (
        ("Session", (*SESSION_MENU, SEPARATOR, "app.quit")),
        (
            "Edit",
            (
                "edit.undo",
                "edit.redo",
                SEPARATOR,
                "take.rename",
                "take.delete",
                SEPARATOR,
                "result.rename",
                "result.delete",
                SEPARATOR,
                "session.bin",
            ),
        ),
        ("Go", tuple(page.action.id for page in pages)),
        ("Tools", (*tools, "jobs.cancel")),
        ("Window", ("jobs.panel", "theme.switch")),
        ("Help", ("help.guide", "help.shortcuts", "help.log", "help.about")),
    )
