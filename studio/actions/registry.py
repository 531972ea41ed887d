"""One registry of everything that menus, buttons and shortcuts can trigger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from PySide6.QtCore import QObject
from PySide6.QtGui import QAction, QKeySequence

from studio.icons import icon
from studio.state.app_state import AppState

Need = Literal["nothing", "session", "rig_and_take", "running_job", "done", "undone"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionSpec:
    """An action as data.

    Attributes:
        id: Dotted name, such as "session.open".
        text: As in the menu; an ellipsis if it asks something before it acts.
        icon: File in `resources/icons`, or empty.
        keys: Shortcuts in Qt's spelling, the first is shown.
        tip: What it does, in a sentence.
        needs: What there must be for it to make sense.
    """

    id: str
    text: str
    icon: str = ""
    keys: tuple[str, ...] = ()
    tip: str = ""
    needs: Need = "nothing"


def why_not(need: Need, state: AppState) -> str:
    """Why an action with that need is blocked; empty if it is not."""
    if need == "nothing":
        return ""
    if state.session is None:
        return "Open a session first."
    if need == "rig_and_take":
        if not state.session.layout.rig.exists():
            return "Import a calibration first."
        if not state.take_name:
            return "Import videos first."
    if need == "done" and not state.undo.canUndo():
        return "Nothing was changed by hand."
    if need == "undone" and not state.undo.canRedo():
        return "Nothing was undone."
    if need == "running_job" and not state.jobs.active:
        return "No job is running."
    return ""


class ActionRegistry(QObject):
    """Makes the Qt actions from their specs, binds what they do, and keeps them enabled or not.

    Args:
        specs: All actions.
        state: What their needs are checked against.
        parent: Owner; the shortcuts work in its window.
    """

    def __init__(self, specs: tuple[ActionSpec, ...], state: AppState, parent: QObject) -> None:
        super().__init__(parent)
        self._state = state
        self._specs = {spec.id: spec for spec in specs}
        self._actions = {spec.id: self._make(spec) for spec in specs}
        self._slots: dict[str, Callable[[], object]] = {}
        for signal in (state.session_changed, state.status_changed, state.take_changed):
            signal.connect(self.refresh)
        for signal in (state.jobs.added, state.jobs.ended, state.undo.indexChanged):
            signal.connect(self.refresh)
        self.refresh()

    def __iter__(self) -> Iterator[tuple[ActionSpec, QAction]]:
        return ((spec, self._actions[name]) for name, spec in self._specs.items())

    def __getitem__(self, name: str) -> QAction:
        return self._actions[name]

    def bind(self, name: str, slot: Callable[[], object]) -> None:
        """Says what an action does. Every action is bound exactly once."""
        if name in self._slots or name not in self._actions:
            raise ValueError(f"action {name!r} is unknown or bound already")
        self._slots[name] = slot

    def unbound(self) -> list[str]:
        """Actions that would do nothing."""
        return [name for name in self._actions if name not in self._slots]

    def refresh(self, _what: object = None) -> None:
        """Enables what can be done now; the others say why not."""
        for name, spec in self._specs.items():
            reason = why_not(spec.needs, self._state)
            self._actions[name].setEnabled(not reason)
            self._actions[name].setToolTip(reason or spec.tip or spec.text.rstrip("…"))

    def _make(self, spec: ActionSpec) -> QAction:
        action = QAction(spec.text, self)
        action.setObjectName(spec.id)
        if spec.icon:
            action.setIcon(icon(spec.icon))
        action.setShortcuts([QKeySequence(keys) for keys in spec.keys])
        action.triggered.connect(self._run)
        return action

    def _run(self) -> None:
        sender = self.sender()
        if sender is not None and sender.objectName() in self._slots:
            self._slots[sender.objectName()]()
