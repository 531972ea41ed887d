"""Toolbar of the View page (result, comparison, followed person, layers), and strip of views."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QButtonGroup, QFrame, QHBoxLayout, QMenu, QSizePolicy, QToolButton, QWidget

from studio.icons import icon
from studio.pages.view.options import (
    FOUR_KEY,
    FRAME_ALL_KEY,
    RESET_KEY,
    SECTIONS,
    SHOW_VIDEO_FLOOR,
    THROUGH_KEY,
    VIEWS,
    WIPE_KEY,
    toolbar_options,
)
from studio.pages.view.presenter import ViewPresenter
from studio.viewport.layers.spec import DisplayOption
from studio.widgets.buttons import MenuButton
from studio.widgets.choice import Choice
from studio.widgets.text import make_label


class ViewToolbar(QFrame):
    """Toolbar above the page.

    Signals:
        result_selected: Name of a result, or empty for none.
        comparison_selected: Name of the result to compare with, or empty.
        wipe_toggled: True to compare the results by a dividing line.
        option_toggled: Option (`DisplayOption`), and its new state.
        person_followed: Identity of a person, or None.
        reset_requested: The user wants to reset view and layers.
    """

    result_selected = Signal(str)
    comparison_selected = Signal(str)
    wipe_toggled = Signal(bool)
    option_toggled = Signal(object, bool)
    person_followed = Signal(object)
    reset_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._options = toolbar_options()
        self.result, self.compare, self.follow = (_combo(tip) for tip in _TIPS)
        self.result.activated.connect(self._select_result)
        self.compare.activated.connect(self._select_comparison)
        self.follow.activated.connect(self._select_person)
        self.wipe = _tool_button("wipe", f"Compare by a dividing line ({WIPE_KEY})")
        self.wipe.setCheckable(True)
        self.wipe.toggled.connect(self.wipe_toggled)
        self._actions = {option.name: self._action(option) for option in self._options}
        row = QHBoxLayout(self)
        row.setContentsMargins(10, 6, 8, 6)
        row.setSpacing(4)
        # More space for results, whose names are long.
        choices = (("Result", self.result, 14), ("Compare", self.compare, 6), ("Follow", self.follow, 4))
        for text, combo, stretch in choices:
            row.addWidget(make_label(text, "small", wrap=False))
            row.addSpacing(2)
            row.addWidget(combo, stretch)
            if combo is self.compare:
                row.addWidget(self.wipe)
            row.addSpacing(3)
        row.addStretch(1)
        self._buttons: dict[str, QToolButton] = {}
        for option in self._options:
            if option.default and option.section != "Videos":
                toggle = _tool_button("", option.label)
                toggle.setDefaultAction(self._actions[option.name])
                self._buttons[option.name] = toggle
                row.addWidget(toggle)
        row.addSpacing(4)
        self.layers = MenuButton("Layers of the 3D view and of the videos", "Layers")
        self.layers.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self._fill(self.layers.entries)
        row.addWidget(self.layers)
        self.exports = MenuButton("Save a picture or a video", icon="film")
        self.exports.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        row.addWidget(self.exports)

    def toggle(self, name: str) -> QAction:
        """Return the action of an option by name."""
        return self._actions[name]

    def show_state(self, presenter: ViewPresenter) -> None:
        """Show the available choices and the current selection."""
        results = [*reversed(presenter.results), ""]
        self.result.offer([(presenter.title(name), name) for name in results], presenter.result)
        others = ["", *(name for name in presenter.results if name != presenter.result)]
        self.compare.offer([(presenter.title(n) if n else "None", n) for n in others], presenter.comparison)
        people: list[tuple[str, object]] = [("None", None), *((f"Person {i}", i) for i in presenter.person_ids)]
        self.follow.offer(people, presenter.options.follow)
        self.result.setEnabled(bool(presenter.results))
        self.compare.setEnabled(len(others) > 1)
        self.follow.setEnabled(len(people) > 1)
        self.wipe.setVisible(presenter.has_comparison)
        for option in self._options:
            action, available = self._actions[option.name], presenter.is_available(option)
            action.setVisible(available)
            action.setChecked(presenter.options.shows(option))
            if option.name in self._buttons:
                self._buttons[option.name].setVisible(available)
        self.toggle(SHOW_VIDEO_FLOOR.name).setEnabled(presenter.has_rig)

    def press(self, key: str) -> bool:
        """Handle a shortcut; return whether it is known."""
        if key == RESET_KEY:
            self.reset_requested.emit()
            return True
        if key == WIPE_KEY and not self.wipe.isHidden():
            self.wipe.toggle()
            return True
        for option in self._options:
            action = self._actions[option.name]
            if option.shortcut == key and action.isEnabled() and action.isVisible():
                action.toggle()
                return True
        return False

    def _action(self, option: DisplayOption) -> QAction:
        # Menus show the key after a tab. As shortcut of the action, it would be active on all pages.
        action = QAction(icon(option.icon), f"{option.label}\t{option.shortcut}", self)
        action.setToolTip(f"{option.label} ({option.shortcut})" if option.shortcut else option.label)
        action.setCheckable(True)
        action.setIconVisibleInMenu(False)  # the check mark replaces it
        action.setChecked(option.default)
        action.toggled.connect(partial(self.option_toggled.emit, option))
        return action

    def _fill(self, menu: QMenu) -> None:
        for section in SECTIONS:
            menu.addSection(section)
            menu.addActions([self._actions[o.name] for o in self._options if o.section == section])
        menu.addSeparator()
        menu.addAction(f"Reset view and layers\t{RESET_KEY}", self.reset_requested.emit)

    def _select_result(self, index: int) -> None:
        self.result_selected.emit(self.result.itemData(index))

    def _select_comparison(self, index: int) -> None:
        self.comparison_selected.emit(self.compare.itemData(index))

    def _select_person(self, index: int) -> None:
        self.person_followed.emit(self.follow.itemData(index))


class ViewStrip(QFrame):
    """Buttons of the views in a corner of the 3D view.

    Signals:
        view_selected: Name of a view.
        four_selected: The user wants four views.
        camera_selected: Name of the camera to look through.
        frame_all_requested: The user wants to see everything.
    """

    view_selected = Signal(str)
    four_selected = Signal()
    camera_selected = Signal(str)
    frame_all_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "card")
        self._views = QButtonGroup(self)
        self._cameras: tuple[str, ...] = ()
        self._camera = ""
        row = QHBoxLayout(self)
        row.setContentsMargins(4, 4, 4, 4)
        row.setSpacing(2)
        for index, (_name, text, key) in enumerate(VIEWS):
            view = _tool_button("", f"{text} view ({key})")
            view.setText(text)
            self._add(row, view, index)
        self.button(VIEWS[0][0]).setChecked(True)
        self.four = _tool_button("four-views", f"Four views ({FOUR_KEY})")
        self.four.clicked.connect(self.four_selected)
        self._add(row, self.four)
        self.through = _tool_button("frustum", f"Look through a camera ({THROUGH_KEY}: the next one)")
        self.through.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.through.setMenu(QMenu(self))
        self._add(row, self.through)
        frame_all = _tool_button("frame", f"Frame all ({FRAME_ALL_KEY})")
        frame_all.clicked.connect(self.frame_all_requested)
        row.addWidget(frame_all)
        self._views.idClicked.connect(self._select_view)

    def button(self, view: str) -> QToolButton:
        """Return the button of a view."""
        button = self._views.button(next(i for i, v in enumerate(VIEWS) if v[0] == view))
        assert isinstance(button, QToolButton)
        return button

    def show_cameras(self, cameras: Sequence[str]) -> None:
        """Set the cameras to look through."""
        if tuple(cameras) == self._cameras:
            return
        self._cameras, self._camera = tuple(cameras), ""
        menu = self.through.menu()
        menu.clear()
        for name in cameras:
            menu.addAction(name, partial(self.select_camera, name))
        self.through.setVisible(bool(cameras))
        if self.through.isChecked():
            self.button("perspective").click()

    def select_camera(self, name: str) -> None:
        """Look through a camera."""
        self._camera = name
        self.through.setChecked(True)
        self.camera_selected.emit(name)

    def press(self, key: str) -> bool:
        """Handle a shortcut; return whether it is known."""
        if key == FRAME_ALL_KEY:
            self.frame_all_requested.emit()
        elif key == FOUR_KEY:
            self.four.click()
        elif key == THROUGH_KEY and self._cameras:
            index = self._cameras.index(self._camera) + 1 if self._camera and self.through.isChecked() else 0
            self.select_camera(self._cameras[index % len(self._cameras)])
        elif any(view_key == key for _, _, view_key in VIEWS):
            self.button(next(name for name, _, view_key in VIEWS if view_key == key)).click()
        else:
            return False
        return True

    def _add(self, row: QHBoxLayout, view: QToolButton, index: int = -1) -> None:
        view.setCheckable(True)
        self._views.addButton(view, index)
        row.addWidget(view)

    def _select_view(self, index: int) -> None:
        if 0 <= index < len(VIEWS):
            self.view_selected.emit(VIEWS[index][0])


_TIPS = (
    "3D result to show",
    "Second result, drawn as a thin ghost or beside a dividing line",
    "Keep a person in the centre of the 3D view",
)


def _combo(tip: str) -> Choice:
    combo = Choice(tip)
    combo.setToolTip(tip)
    combo.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    combo.setSizeAdjustPolicy(Choice.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(5)
    combo.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    combo.setMaximumWidth(260)
    combo.view().setTextElideMode(Qt.TextElideMode.ElideNone)
    return combo


def _tool_button(icon_name: str, tip: str) -> QToolButton:
    button = QToolButton()
    if icon_name:
        button.setIcon(icon(icon_name))
    button.setIconSize(QSize(18, 18))
    button.setToolTip(tip)
    button.setAccessibleName(tip.rpartition(" (")[0] or tip)
    # No focus on click, so that Space still plays.
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return button
