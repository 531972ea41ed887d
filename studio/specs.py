"""Types of the tables of actions and pages.

Navigation, menus, shortcuts, page states and the welcome page are derived from these specs, so that a page or an action
is declared in one place.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from PySide6.QtWidgets import QWidget

from studio.state.app_state import AppState
from studio.widgets.status_dot import StepState

Need = Literal["nothing", "session", "running_job", "undo", "redo", "take", "result", "bin"]
"""Precondition of an action, in addition to that of its page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionSpec:
    """Action of menus, buttons and shortcuts.

    Attributes:
        id: Dotted name, such as "session.open".
        text: Menu text; ends with an ellipsis if a dialog follows.
        icon: File name in `resources/icons`, or empty.
        keys: Shortcuts in Qt's spelling; the first one is shown.
        tip: Tooltip, one sentence without a full stop.
        needs: Precondition; the action is disabled while it is not met.
    """

    id: str
    text: str
    icon: str = ""
    keys: tuple[str, ...] = ()
    tip: str = ""
    needs: Need = "nothing"


@dataclass(frozen=True, slots=True)
class StepView:
    """State of a step or a page, with the reason as a sentence."""

    state: StepState
    reason: str = ""


KeySection = tuple[str, tuple[tuple[str, str], ...]]
"""Section of the list of shortcuts: heading and rows of (description, keys); "or" stands between alternatives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSpec:
    """Page of the window.

    Attributes:
        name: Short name; the page's own action is `page.<name>`.
        title: Title in the navigation and the menus.
        summary: Short description for the welcome page.
        icon: File name in `resources/icons`.
        shortcut: Keys that open the page, in Qt's spelling; may be empty.
        factory: `package.module:Class` of the widget, which is imported when the page is built.
        steps: Steps of `core.session.status` that determine the state of the page.
        verbs: Verbs whose jobs make the page "running".
        actions: Actions of the page; its widget is an `ActionPage` if there are any.
        status: State of a page without steps.
        landing: True if sessions open on this page when it is done, otherwise on the first unfinished one before it.
        keys: Shortcuts while the page has the focus, in sections.
        guide: Text for the guide.
    """

    name: str
    title: str
    summary: str
    icon: str
    factory: str
    shortcut: str = ""
    steps: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()
    actions: tuple[ActionSpec, ...] = ()
    status: Callable[[AppState], StepView] | None = None
    landing: bool = False
    keys: tuple[KeySection, ...] = ()
    guide: str = ""

    @property
    def action(self) -> ActionSpec:
        """Action to open the page."""
        keys = (self.shortcut,) if self.shortcut else ()
        return ActionSpec(id=f"page.{self.name}", text=self.title, icon=self.icon, keys=keys, needs="session")

    def make(self, state: AppState) -> QWidget:
        """Build the widget of the page."""
        module, _, name = self.factory.partition(":")
        widget: QWidget = getattr(importlib.import_module(module), name)(state)
        return widget


@runtime_checkable
class ActionPage(Protocol):
    """Page with actions."""

    def act(self, action: str) -> None:
        """Execute the action with an id."""

    def why_not(self, action: str) -> str:
        """Return why an action is blocked, as its button does; empty if it is available."""


@runtime_checkable
class PlayingPage(Protocol):
    """Page with playback."""

    def play(self) -> None:
        """Play, and rotate the view slowly, until the user interacts."""


@runtime_checkable
class ClosablePage(Protocol):
    """Page with threads or OpenGL resources."""

    def shut_down(self) -> None:
        """Release the resources before the window closes."""
