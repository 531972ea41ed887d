"""Toolbar of the View page: result, comparison, followed person, layer toggles; and the strip of views."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QButtonGroup, QFrame, QHBoxLayout, QSizePolicy, QToolButton, QWidget

from studio.icons import icon
from studio.pages.view.options import FRAME_ALL_KEY, SHOW_VIDEO_FLOOR, VIDEO_OPTIONS, VIEWS, toolbar_options
from studio.pages.view.presenter import ViewPresenter
from studio.widgets.choice import Choice
from studio.widgets.text import make_label


class ViewToolbar(QFrame):
    """Toolbar above the page.

    Signals:
        result_selected: Name of a result, or empty for none.
        comparison_selected: Name of the result to compare with, or empty.
        option_toggled: A `DisplayOption`, and whether it is on.
        person_followed: Id of a person, or None.
    """

    result_selected = Signal(str)
    comparison_selected = Signal(str)
    option_toggled = Signal(object, bool)
    person_followed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._options = toolbar_options()
        self.result, self.compare, self.follow = (_combo(tip) for tip in _TIPS)
        self.result.activated.connect(self._select_result)
        self.compare.activated.connect(self._select_comparison)
        self.follow.activated.connect(self._select_person)
        self._buttons = QButtonGroup(self)
        self._buttons.setExclusive(False)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 6, 8, 6)
        row.setSpacing(4)
        # Names of results are long, names of people short.
        choices = (("Result", self.result, 8), ("Compare", self.compare, 8), ("Follow", self.follow, 5))
        for text, combo, stretch in choices:
            row.addWidget(make_label(text, "small", wrap=False))
            row.addSpacing(2)
            row.addWidget(combo, stretch)
            row.addSpacing(6)
        row.addStretch(1)
        for index, option in enumerate(self._options):
            if option == VIDEO_OPTIONS[0]:
                row.addSpacing(8)
            tip = f"{option.label} ({option.shortcut})" if option.shortcut else option.label
            toggle = _tool_button(option.icon, tip)
            toggle.setCheckable(True)
            self._buttons.addButton(toggle, index)
            row.addWidget(toggle)
        self._buttons.idToggled.connect(self._toggle_option)

    def toggle_button(self, name: str) -> QToolButton:
        """Return the button of an option by name."""
        toggle = self._buttons.button(next(i for i, option in enumerate(self._options) if option.name == name))
        assert isinstance(toggle, QToolButton)
        return toggle

    def show_state(self, presenter: ViewPresenter) -> None:
        """Show the choices and the current selection."""
        results = [*reversed(presenter.results), ""]
        self.result.offer([(presenter.title(name), name) for name in results], presenter.result)
        others = ["", *(name for name in presenter.results if name != presenter.result)]
        self.compare.offer([(presenter.title(n) if n else "None", n) for n in others], presenter.comparison)
        people: list[tuple[str, object]] = [("None", None), *((f"Person {i}", i) for i in presenter.person_ids)]
        self.follow.offer(people, presenter.options.follow)
        self.result.setEnabled(bool(presenter.results))
        self.compare.setEnabled(len(others) > 1)
        self.follow.setEnabled(len(people) > 1)
        for index, option in enumerate(self._options):
            toggle = self._buttons.button(index)
            toggle.setVisible(presenter.is_available(option))
            toggle.setChecked(presenter.options.shows(option))
        self.toggle_button(SHOW_VIDEO_FLOOR.name).setEnabled(presenter.has_rig)

    def press(self, key: str) -> bool:
        """Handle a shortcut; return whether it has a meaning here."""
        for index, option in enumerate(self._options):
            toggle = self._buttons.button(index)
            if option.shortcut == key and toggle.isEnabled() and not toggle.isHidden():
                toggle.toggle()
                return True
        return False

    def _toggle_option(self, index: int, on: bool) -> None:
        self.option_toggled.emit(self._options[index], on)

    def _select_result(self, index: int) -> None:
        self.result_selected.emit(self.result.itemData(index))

    def _select_comparison(self, index: int) -> None:
        self.comparison_selected.emit(self.compare.itemData(index))

    def _select_person(self, index: int) -> None:
        self.person_followed.emit(self.follow.itemData(index))


class ViewStrip(QFrame):
    """Buttons for the viewing direction, over a corner of the 3D view.

    Signals:
        view_selected: Name of a view.
        frame_all_requested: Everything should come into view.
    """

    view_selected = Signal(str)
    frame_all_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "card")
        self._views = QButtonGroup(self)
        row = QHBoxLayout(self)
        row.setContentsMargins(4, 4, 4, 4)
        row.setSpacing(2)
        for index, (_name, text, key) in enumerate(VIEWS):
            button = _tool_button("", f"{text} view ({key})")
            button.setText(text)
            button.setCheckable(True)
            button.setChecked(index == 0)
            self._views.addButton(button, index)
            row.addWidget(button)
        frame_all = _tool_button("frame", f"Frame all ({FRAME_ALL_KEY})")
        frame_all.clicked.connect(self.frame_all_requested)
        row.addWidget(frame_all)
        self._views.idClicked.connect(self._select_view)

    def button(self, view: str) -> QToolButton:
        """Return the button of a view."""
        button = self._views.button(next(i for i, v in enumerate(VIEWS) if v[0] == view))
        assert isinstance(button, QToolButton)
        return button

    def press(self, key: str) -> bool:
        """Handle a shortcut; return whether it has a meaning here."""
        if key == FRAME_ALL_KEY:
            self.frame_all_requested.emit()
            return True
        for index, (_name, _text, view_key) in enumerate(VIEWS):
            if view_key == key:
                self._views.button(index).click()
                return True
        return False

    def _select_view(self, index: int) -> None:
        self.view_selected.emit(VIEWS[index][0])


_TIPS = (
    "3D result to show",
    "Second result, drawn as a thin ghost",
    "Keep a person in the centre of the 3D view",
)


def _combo(tip: str) -> Choice:
    combo = Choice(tip)
    combo.setToolTip(tip)
    combo.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    combo.setSizeAdjustPolicy(Choice.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(5)
    combo.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    combo.setMaximumWidth(190)
    combo.view().setTextElideMode(Qt.TextElideMode.ElideNone)
    return combo


def _tool_button(icon_name: str, tip: str) -> QToolButton:
    button = QToolButton()
    if icon_name:
        button.setIcon(icon(icon_name))
    button.setIconSize(QSize(18, 18))
    button.setToolTip(tip)
    button.setAccessibleName(tip.rpartition(" (")[0] or tip)
    # A click must not take the focus: Space keeps meaning Play.
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return button
