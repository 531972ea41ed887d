"""Panel with facts and controls of the enlarged camera."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QCheckBox, QFrame, QGridLayout, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from core.capture.controls import Control
from core.passwords import without_passwords
from studio.pages.record import presenter
from studio.state.live_status import LiveCamera
from studio.theme import GRID_PX
from studio.widgets.buttons import MenuButton, button
from studio.widgets.card import Card, clear_layout
from studio.widgets.choice import Choice, Slider
from studio.widgets.elided import ElidedLabel
from studio.widgets.text import make_label

_WIDTH_PX = 272
_STEPS = 400


class CameraPanel(Card):
    """Panel of one camera.

    Args:
        parent: Owner.

    Signals:
        back_requested: The user wants to see all cameras.
        rename_requested: Name of the camera.
        remove_requested: Name of the camera.
        control_set: Camera, control and new value; None for automatic.
    """

    back_requested = Signal()
    rename_requested = Signal(str)
    remove_requested = Signal(str)
    control_set = Signal(str, str, object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Camera", parent=parent)
        self.setFixedWidth(_WIDTH_PX)
        self._camera = ""
        self.more = MenuButton("More about this camera")
        self.rename = self.more.add("Rename…")
        self.rename.triggered.connect(lambda: self.rename_requested.emit(self._camera))
        self.remove = self.more.add("Remove", "Stop using this camera; its name is remembered")
        self.remove.triggered.connect(lambda: self.remove_requested.emit(self._camera))
        back = button("", "quiet", "close", "Show all cameras (Esc)")
        back.setProperty("bare", True)
        back.setAccessibleName("Show all cameras")
        back.clicked.connect(self.back_requested)
        self.tools.addWidget(self.more)
        self.tools.addWidget(back)
        area, inner = QScrollArea(), QWidget()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        inner.setProperty("role", "scrolled")
        area.setWidget(inner)
        self.body.addWidget(area)
        column = QVBoxLayout(inner)
        column.setContentsMargins(0, 0, GRID_PX // 2, 0)
        column.setSpacing(GRID_PX)
        self._address = ElidedLabel("small", Qt.TextElideMode.ElideMiddle)
        column.addWidget(self._address)
        self._facts = QGridLayout()
        self._facts.setHorizontalSpacing(2 * GRID_PX)
        self._facts.setVerticalSpacing(4)
        self._facts.setColumnStretch(1, 1)
        column.addLayout(self._facts)
        self._controls = QVBoxLayout()
        self._controls.setSpacing(GRID_PX)
        self.rows: dict[str, ControlRow] = {}
        column.addSpacing(GRID_PX)
        column.addLayout(self._controls)
        column.addStretch(1)
        self._shown: tuple[tuple[str, str], ...] = ()

    def show_camera(self, name: str, address: str, camera: LiveCamera | None, *, fixed: bool) -> None:
        """Show a camera.

        Args:
            name: Name of the camera.
            address: Address of the camera.
            camera: State of the camera; None while it is off.
            fixed: True if it cannot be renamed or removed.
        """
        self.heading.setText(name)
        self._address.setText(without_passwords(address))
        for action in (self.rename, self.remove):
            action.setEnabled(not fixed)
        facts = presenter.fact_rows(camera)
        if facts != self._shown:
            self._shown = facts
            clear_layout(self._facts)
            for row, (title, value) in enumerate(facts):
                self._facts.addWidget(make_label(title, "small", wrap=False), row, 0)
                self._facts.addWidget(make_label(value, wrap=True), row, 1)
        controls = () if camera is None else camera.controls
        if name != self._camera or {c.name for c in controls} != set(self.rows):
            self._make_rows(name, controls)
        self._camera = name
        for control in controls:
            self.rows[control.name].show_control(control)

    def _make_rows(self, name: str, controls: tuple[Control, ...]) -> None:
        clear_layout(self._controls)
        self.rows = {}
        for control in controls:
            row = self.rows[control.name] = ControlRow(control)
            row.edited.connect(partial(self.control_set.emit, name, control.name))
            self._controls.addWidget(row)


class ControlRow(QWidget):
    """Slider or list for a control, with a switch for automatic; a read-only control is shown as text.

    Args:
        control: Control of a camera.
        parent: Owner.

    Signals:
        edited: New value; None for automatic.
    """

    edited = Signal(object)

    def __init__(self, control: Control, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._control = control
        title = presenter.control_title(control)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(2)
        head = QHBoxLayout()
        head.addWidget(make_label(title, "small", wrap=False), 1)
        self.automatic = QCheckBox("Auto")
        self.automatic.setToolTip("Let the camera choose the value")
        self.automatic.setVisible(control.automatic is not None)
        self.automatic.clicked.connect(self._switch)
        self.value = make_label("", wrap=False)
        head.addWidget(self.value)
        head.addSpacing(GRID_PX)
        head.addWidget(self.automatic)
        box.addLayout(head)
        self.slider = Slider(title)
        self.slider.setRange(0, _STEPS)
        self.slider.sliderReleased.connect(self._slid)
        self.slider.actionTriggered.connect(self._stepped)
        box.addWidget(self.slider)
        self.choice = Choice(title)
        self.choice.activated.connect(lambda index: self.edited.emit(float(index)))
        box.addWidget(self.choice)
        fixed = control.maximum <= control.minimum
        self.slider.setVisible(not control.choices and not fixed)
        self.choice.setVisible(bool(control.choices) and not fixed)
        self.value.setVisible(not self.choice.isVisibleTo(self))
        if help_text := presenter.control_help(control):
            box.addWidget(make_label(help_text, "small", wrap=True))
        self.show_control(control)

    def show_control(self, control: Control) -> None:
        """Show the reported value."""
        self._control = control
        self.value.setText(presenter.control_text(control))
        self.automatic.setChecked(bool(control.automatic))
        if [self.choice.itemText(i) for i in range(self.choice.count())] != list(control.choices):
            self.choice.offer([(text, index) for index, text in enumerate(control.choices)])
        if not self.choice.view().isVisible():
            self.choice.setCurrentIndex(round(control.value))
        self.slider.setEnabled(not control.automatic and control.maximum > control.minimum)
        if not self.slider.isSliderDown():
            self.slider.setValue(round(_STEPS * presenter.control_position(control)))

    def _switch(self, automatic: bool) -> None:
        self.edited.emit(None if automatic else self._control.value)

    def _slid(self) -> None:
        self.edited.emit(presenter.control_value(self._control, self.slider.sliderPosition() / _STEPS))

    def _stepped(self, _action: int) -> None:
        if not self.slider.isSliderDown():
            self._slid()
