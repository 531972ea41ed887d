"""What to show on the View page: the result, the layers, the direction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QButtonGroup, QComboBox, QFrame, QHBoxLayout, QSizePolicy, QToolButton, QWidget

from studio.icons import icon
from studio.pages.view.presenter import ViewPresenter, result_title
from studio.viewport.camera import ViewName
from studio.widgets.text import label


@dataclass(frozen=True, slots=True)
class Toggle:
    """A switch.

    Attributes:
        name: Field of the options.
        over_video: Whether it is a field of `PaneOptions`; else of `ViewOptions`.
        icon: File in `resources/icons`.
        text: What it shows or hides.
        key: Letter that does the same.
    """

    name: str
    over_video: bool
    icon: str
    text: str
    key: str


TOGGLES = (
    Toggle("skeletons", False, "skeleton", "Skeletons", "S"),
    Toggle("trails", False, "trail", "Trails", "T"),
    Toggle("labels", False, "tag", "Names and metres", "N"),
    Toggle("frusta", False, "frustum", "Cameras", "C"),
    Toggle("images", False, "image", "Images in the 3D view", "I"),
    Toggle("floor", False, "floor", "Floor", "G"),
    Toggle("volume", False, "volume", "Capture volume", "B"),
    Toggle("accuracy", False, "accuracy", "Expected accuracy over the floor, at the height of hips", "A"),
    Toggle("detections", True, "cross", "2D detections over the videos", "D"),
    Toggle("floor", True, "measure", "Floor over the videos", "H"),
)
"""Skeletons are shown or hidden in both places at once."""

VIEWS: tuple[tuple[ViewName, str, str], ...] = (
    ("perspective", "3D", "1"),
    ("top", "Top", "2"),
    ("front", "Front", "3"),
    ("side", "Side", "4"),
)


class ViewToolbar(QFrame):
    """One row above the page: which result, and what of it.

    Signals:
        result_chosen: Name of a result, or empty for none.
        compared: Name of the result to draw as ghosts, or empty.
        toggled: A toggle's index in `TOGGLES`, and whether it is on.
        followed: Id of a person, or None.
    """

    result_chosen = Signal(str)
    compared = Signal(str)
    toggled = Signal(int, bool)
    followed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.result, self.compare, self.follow = (_combo(tip) for tip in _TIPS)
        self.result.activated.connect(self._choose_result)
        self.compare.activated.connect(self._choose_compared)
        self.follow.activated.connect(self._choose_followed)
        self._layers = QButtonGroup(self)
        self._layers.setExclusive(False)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 6, 8, 6)
        row.setSpacing(4)
        for words, combo in (("Result", self.result), ("Compare", self.compare), ("Follow", self.follow)):
            row.addWidget(label(words, "small", wrap=False))
            row.addSpacing(2)
            row.addWidget(combo, 8)
            row.addSpacing(6)
        row.addStretch(1)
        for index, toggle in enumerate(TOGGLES):
            if toggle.over_video and not TOGGLES[index - 1].over_video:
                row.addSpacing(8)
            row.addWidget(self._toggle_button(index, toggle))
        self._layers.idToggled.connect(self.toggled)

    def toggle_button(self, name: str, *, over_video: bool = False) -> QToolButton:
        """The button of a toggle."""
        index = next(i for i, t in enumerate(TOGGLES) if t.name == name and t.over_video == over_video)
        button = self._layers.button(index)
        assert isinstance(button, QToolButton)
        return button

    def show_state(self, presenter: ViewPresenter) -> None:
        """Lists what can be chosen, and what is."""
        results = [*reversed(presenter.results), ""]
        _fill(self.result, [(result_title(name), name) for name in results], presenter.result)
        others = ["", *(name for name in presenter.results if name != presenter.result)]
        _fill(self.compare, [(result_title(n) if n else "Nothing", n) for n in others], presenter.compared)
        people = [("Nobody", None), *((f"Person {i}", i) for i in presenter.person_ids)]
        _fill(self.follow, people, presenter.options.follow)
        self.result.setEnabled(bool(presenter.results))
        self.compare.setEnabled(len(others) > 1)
        self.follow.setEnabled(len(people) > 1)
        self.toggle_button("volume").setVisible(presenter.has_volume)
        self.toggle_button("accuracy").setVisible(presenter.has_accuracy)
        self.toggle_button("detections", over_video=True).setVisible(presenter.has_detections)
        self.toggle_button("floor", over_video=True).setEnabled(presenter.has_rig)
        for index, toggle in enumerate(TOGGLES):
            options = presenter.pane_options if toggle.over_video else presenter.options
            self._layers.button(index).setChecked(getattr(options, toggle.name))

    def press(self, key: str) -> bool:
        """Does what a letter means; False if it means nothing here."""
        for index, toggle in enumerate(TOGGLES):
            button = self._layers.button(index)
            if toggle.key == key and button.isEnabled() and not button.isHidden():
                button.toggle()
                return True
        return False

    def _toggle_button(self, index: int, toggle: Toggle) -> QToolButton:
        button = _tool_button(toggle.icon, f"{toggle.text} ({toggle.key})")
        button.setCheckable(True)
        self._layers.addButton(button, index)
        return button

    def _choose_result(self, index: int) -> None:
        self.result_chosen.emit(self.result.itemData(index))

    def _choose_compared(self, index: int) -> None:
        self.compared.emit(self.compare.itemData(index))

    def _choose_followed(self, index: int) -> None:
        self.followed.emit(self.follow.itemData(index))


class ViewStrip(QFrame):
    """From where one looks. Lies over a corner of the 3D view.

    Signals:
        looked: Name of a view.
        framed: Everything should come into view.
    """

    looked = Signal(str)
    framed = Signal()

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
        frame = _tool_button("frame", "Show everything (F)")
        frame.clicked.connect(self.framed)
        row.addWidget(frame)
        self._views.idClicked.connect(self._choose)

    def button(self, view: str) -> QToolButton:
        """The button of a view."""
        button = self._views.button(next(i for i, v in enumerate(VIEWS) if v[0] == view))
        assert isinstance(button, QToolButton)
        return button

    def press(self, key: str) -> bool:
        """Does what a key means; False if it means nothing here."""
        if key == "F":
            self.framed.emit()
            return True
        for index, (_name, _text, view_key) in enumerate(VIEWS):
            if view_key == key:
                self._views.button(index).click()
                return True
        return False

    def _choose(self, index: int) -> None:
        self.looked.emit(VIEWS[index][0])


_TIPS = (
    "Which 3D result is shown",
    "A second result, drawn thin and pale",
    "Keep a person in the middle of the 3D view",
)


def _combo(tip: str) -> QComboBox:
    combo = QComboBox()
    combo.setToolTip(tip)
    combo.setAccessibleName(tip)
    combo.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(5)
    combo.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    combo.setMaximumWidth(190)
    combo.view().setTextElideMode(Qt.TextElideMode.ElideNone)
    return combo


def _fill(combo: QComboBox, items: Sequence[tuple[str, object]], current: object) -> None:
    """Lists the items and selects one, without telling anybody."""
    combo.blockSignals(True)
    combo.clear()
    for text, data in items:
        combo.addItem(text, data)
    combo.setCurrentIndex(next((i for i, (_, data) in enumerate(items) if data == current), -1))
    combo.blockSignals(False)


def _tool_button(icon_name: str, tip: str) -> QToolButton:
    button = QToolButton()
    if icon_name:
        button.setIcon(icon(icon_name))
    button.setIconSize(QSize(18, 18))
    button.setToolTip(tip)
    button.setAccessibleName(tip.rpartition(" (")[0])
    # The mouse leaves the focus where it is, so that Space goes on meaning Play.
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return button
