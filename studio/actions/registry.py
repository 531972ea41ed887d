"""Registry of the actions for menus, buttons and shortcuts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QAction, QKeySequence

from studio.icons import icon
from studio.specs import ActionSpec, Need
from studio.state.app_state import AppState


def unmet_need(need: Need, state: AppState) -> str:
    """Return why an action with a precondition is blocked; empty if it is not."""
    if need == "nothing":
        return ""
    if state.session is None:
        return "Open a session first."
    if need == "undo" and not state.undo.canUndo():
        return "Nothing to undo."
    if need == "redo" and not state.undo.canRedo():
        return "Nothing to redo."
    if need in ("undo", "redo"):
        return state.rig.why_not(need)
    if need in ("take", "result") and not state.take_name:
        return "There is no take."
    if need == "result" and not state.poses_name:
        return "There is no 3D result."
    if need == "bin" and not state.session.layout.bin.exists():
        return "The bin is empty."
    if need in ("take", "result", "bin"):
        return state.jobs.why_not()
    if need == "running_job" and not state.jobs.active:
        return "No job is running."
    return ""


class ActionRegistry(QObject):
    """Qt actions from their specs, bound to slots, and enabled while their preconditions are met.

    Args:
        specs: All actions.
        state: State for the preconditions.
        parent: Owner, in whose window the shortcuts are active.

    Signals:
        refused: Reason why an enabled action was not executed.
    """

    refused = Signal(str)

    def __init__(self, specs: Iterable[ActionSpec], state: AppState, parent: QObject) -> None:
        super().__init__(parent)
        self._state = state
        self._specs = {spec.id: spec for spec in specs}
        self._actions = {spec.id: self._make(spec) for spec in self._specs.values()}
        self._slots: dict[str, Callable[[], object]] = {}
        self._blocks: dict[str, Callable[[], str]] = {}
        state.undo.indexChanged.connect(self.refresh)
        self.refresh()

    def __iter__(self) -> Iterator[tuple[ActionSpec, QAction]]:
        return ((spec, self._actions[name]) for name, spec in self._specs.items())

    def __getitem__(self, name: str) -> QAction:
        return self._actions[name]

    def bind(self, name: str, slot: Callable[[], object], why_not: Callable[[], str] | None = None) -> None:
        """Set the slot of an action, and the function that returns why it is blocked; called once per action."""
        if name in self._slots or name not in self._actions:
            raise ValueError(f"action {name!r} is unknown or bound already")
        self._slots[name] = slot
        if why_not is not None:
            self._blocks[name] = why_not

    def why_not(self, name: str) -> str:
        """Return why an action is blocked; empty if it is available."""
        reason = unmet_need(self._specs[name].needs, self._state)
        return reason or (self._blocks[name]() if name in self._blocks else "")

    def unbound(self) -> list[str]:
        """Return the actions without a slot."""
        return [name for name in self._actions if name not in self._slots]

    def refresh(self, _signal_value: object = None) -> None:
        """Enable available actions, and show the reason in the tooltip of blocked ones."""
        for name, spec in self._specs.items():
            reason = self.why_not(name)
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
        name = sender.objectName() if sender is not None else ""
        if name not in self._slots:
            return
        reason = self.why_not(name)
        if reason:
            self.refresh()
            self.refused.emit(reason)
        else:
            self._slots[name]()
