"""Every action and every menu of the window, as data."""

from __future__ import annotations

from studio.actions.registry import ActionSpec

SEPARATOR = "-"
RECENT = "recent"
"""Stands for the submenu of recent sessions."""

ACTIONS = (
    ActionSpec(id="session.new", text="New session…", icon="plus", keys=("Ctrl+N",), tip="Make an empty session"),
    ActionSpec(id="session.open", text="Open session…", icon="folder", keys=("Ctrl+O",), tip="Open a session folder"),
    ActionSpec(
        id="session.sample",
        text="Open the sample",
        icon="spark",
        tip="Real footage of two people from four cameras, with its calibration, ready to run",
    ),
    ActionSpec(id="session.folder", text="Show session folder", icon="folder", needs="session"),
    ActionSpec(id="session.close", text="Close session", icon="close", keys=("Ctrl+W",), needs="session"),
    ActionSpec(id="app.quit", text="Quit", keys=("Ctrl+Q",)),
    ActionSpec(
        id="edit.undo", text="Undo", icon="undo", keys=("Ctrl+Z",), tip="Take the last change back", needs="done"
    ),
    ActionSpec(
        id="edit.redo",
        text="Redo",
        icon="redo",
        keys=("Ctrl+Shift+Z", "Ctrl+Y"),
        tip="Make it again",
        needs="undone",
    ),
    ActionSpec(id="page.calibrate", text="Calibrate", icon="calibrate", keys=("Ctrl+1",), needs="session"),
    ActionSpec(id="page.record", text="Record", icon="record", keys=("Ctrl+2",), needs="session"),
    ActionSpec(id="page.train", text="Train", icon="train", keys=("Ctrl+3",), needs="session"),
    ActionSpec(id="page.view", text="View", icon="view", keys=("Ctrl+4",), needs="session"),
    ActionSpec(id="page.export", text="Export", icon="export", keys=("Ctrl+5",), needs="session"),
    ActionSpec(
        id="rig.import",
        text="Import calibration…",
        icon="import",
        tip="Bring in the rig file of another tool",
        needs="session",
    ),
    ActionSpec(
        id="rig.calibrate",
        text="Calibrate from the board",
        icon="calibrate",
        tip="Solve lenses, poses and time offsets from the chosen take of a board",
        needs="session",
    ),
    ActionSpec(
        id="rig.export",
        text="Export calibration…",
        icon="export",
        tip="Write the rig for another tool",
        needs="session",
    ),
    ActionSpec(
        id="take.import",
        text="Import videos…",
        icon="import",
        keys=("Ctrl+I",),
        tip="One video per camera becomes a take",
        needs="session",
    ),
    ActionSpec(
        id="path.run",
        text="Run everything",
        icon="forward",
        keys=("Ctrl+R",),
        tip="Label, baseline, train, infer, evaluate and export the selected take",
        needs="rig_and_take",
    ),
    ActionSpec(id="jobs.cancel", text="Cancel running jobs", icon="stop", needs="running_job"),
    ActionSpec(id="jobs.panel", text="Jobs", icon="jobs", keys=("Ctrl+J",), tip="Show or hide the jobs"),
    ActionSpec(id="theme.switch", text="Switch light and dark", icon="moon", keys=("Ctrl+Shift+L",)),
    ActionSpec(id="help.shortcuts", text="Keyboard shortcuts", icon="keyboard", keys=("F1", "?")),
    ActionSpec(id="help.log", text="Show log folder", icon="folder"),
    ActionSpec(id="help.about", text="About", icon="info"),
)

MENUS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "Session",
        (
            "session.new",
            "session.open",
            RECENT,
            "session.sample",
            SEPARATOR,
            "session.folder",
            "session.close",
            SEPARATOR,
            "app.quit",
        ),
    ),
    ("Edit", ("edit.undo", "edit.redo")),
    ("Go", ("page.calibrate", "page.record", "page.train", "page.view", "page.export")),
    (
        "Work",
        (
            "rig.calibrate",
            "rig.import",
            "rig.export",
            SEPARATOR,
            "take.import",
            SEPARATOR,
            "path.run",
            "jobs.cancel",
        ),
    ),
    ("Window", ("jobs.panel", "theme.switch")),
    ("Help", ("help.shortcuts", "help.log", "help.about")),
)
