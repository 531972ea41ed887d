"""Actions and pages as data: the types of the window's tables.

Navigation, menus, shortcuts, page states and the welcome page are derived from these specs, so a page or an action
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
"""Precondition of an action, beside what its page says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionSpec:
    """An action of a menu, a button or a shortcut.

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


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSpec:
    """A page of the window.

    Attributes:
        name: Short name; the page's own action is `page.<name>`.
        title: Title in the navigation and the menus.
        summary: A few words for the welcome page.
        icon: File name in `resources/icons`.
        shortcut: Keys that open the page, in Qt's spelling; may be empty.
        factory: `package.module:Class` of the widget; imported when the page is built, called with the `AppState`.
        steps: Steps of `core.session.status` that make up the page's state.
        verbs: Job verbs that belong to the page; while one of them runs, the page is "running".
        actions: Actions that the page carries out; its widget is an `ActionPage` if there are any.
        status: State of a page without steps.
        landing: A session opens on this page if it is done, otherwise on the first unfinished one before it.
        keys: Keys that work while the page has the focus: (what they do, keys), for the list of shortcuts.
        guide: What to do on the page, in a few sentences, for the guide.
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
    keys: tuple[tuple[str, str], ...] = ()
    guide: str = ""

    @property
    def action(self) -> ActionSpec:
        """Action that opens the page."""
        keys = (self.shortcut,) if self.shortcut else ()
        return ActionSpec(id=f"page.{self.name}", text=self.title, icon=self.icon, keys=keys, needs="session")

    def make(self, state: AppState) -> QWidget:
        """Build the page's widget."""
        module, _, name = self.factory.partition(":")
        widget: QWidget = getattr(importlib.import_module(module), name)(state)
        return widget


@runtime_checkable
class ActionPage(Protocol):
    """A page that carries out the actions of its `PageSpec`."""

    def act(self, action: str) -> None:
        """Carry out the action with this id."""

    def why_not(self, action: str) -> str:
        """Return why the action cannot be carried out now; empty if it can. The page's buttons ask the same."""


@runtime_checkable
class PlayingPage(Protocol):
    """A page that can play what it shows."""

    def play(self) -> None:
        """Play, and turn the view slowly, until the user takes over."""


@runtime_checkable
class ClosablePage(Protocol):
    """A page that holds threads or OpenGL resources."""

    def shut_down(self) -> None:
        """Release them; called once, before the window closes."""
