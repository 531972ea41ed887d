"""Widget to show and edit the capture volume."""

from __future__ import annotations

from PySide6.QtWidgets import QGridLayout, QVBoxLayout, QWidget

from core.errors import CoreError
from studio.shell.dialogs import show_error_dialog
from studio.state.volume import VolumeState
from studio.theme import GRID_PX
from studio.volume.text import FIELDS, describe_volume, with_field
from studio.widgets.card import clear_layout
from studio.widgets.finding_row import FindingRow
from studio.widgets.number_field import NumberField
from studio.widgets.text import make_label

_COLUMNS = 3


class VolumeEditor(QWidget):
    """Editor of the session's capture volume, with text and editable fields.

    Nothing is read before `refresh`, because deriving the volume takes time that only a visible page should spend.

    Args:
        volume: State of the capture volume.
        parent: Owner.

    Attributes:
        fields: Number fields by name, as in `studio.volume.text.FIELDS`.
        details: Collapsible part with the fields; see `set_expanded`.
    """

    def __init__(self, volume: VolumeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._volume = volume
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        self.size_text = make_label("", "strong")
        self.voxel_text = make_label("", "muted")
        self.origin = make_label("", "small")
        for text_label in (self.size_text, self.voxel_text, self.origin):
            column.addWidget(text_label)
        self._problems = QVBoxLayout()
        self._problems.setSpacing(4)
        column.addLayout(self._problems)
        self.details = QWidget()
        column.addWidget(self.details)
        self.fields: dict[str, NumberField] = {}
        self._expanded, self._known = True, True
        self._build_details()

    def refresh(self) -> None:
        """Show the current capture volume."""
        clear_layout(self._problems)
        try:
            text = describe_volume(self._volume.current())
        except CoreError as error:
            self._show_problem(error)
            return
        self.size_text.setText(text.size)
        self.voxel_text.setText(text.voxels)
        self.origin.setText(text.origin)
        self.spacing.setText(text.spacing)
        self.hips.setText(text.hips)
        for name, field in self.fields.items():
            field.show_value(text.values[name])
        for problem in text.problems:
            self._problems.addWidget(FindingRow(*problem))
        self._known = True
        self._update_visibility()

    def set_expanded(self, expanded: bool) -> None:
        """Show or hide the fields."""
        self._expanded = expanded
        self._update_visibility()

    def reset(self) -> None:
        """Reset to the volume derived from rig and people."""
        try:
            self._volume.reset()
        except CoreError as error:
            show_error_dialog(error, self.window())

    def _show_problem(self, error: CoreError) -> None:
        level = "error" if self._volume.has_rig else "info"  # a session without a rig is incomplete, not damaged
        self._problems.addWidget(FindingRow(level, error.message, error.hint))
        self._known = False
        self._update_visibility()

    def _update_visibility(self) -> None:
        for part in (self.size_text, self.voxel_text, self.origin):
            part.setVisible(self._known)
        self.details.setVisible(self._known and self._expanded)

    def _build_details(self) -> None:
        column = QVBoxLayout(self.details)
        column.setContentsMargins(0, GRID_PX, 0, 0)
        column.setSpacing(GRID_PX)
        grid = QGridLayout()
        grid.setHorizontalSpacing(GRID_PX)
        grid.setVerticalSpacing(2)
        for index, field in enumerate(FIELDS):
            # The third row only contains the voxel spacing and its note.
            row, column_index = divmod(index if index < 7 else index + 2, _COLUMNS)
            number = NumberField(field.caption, field.unit, field.decimals)
            number.setRange(field.low, field.high)
            number.setSingleStep(field.step)
            number.setToolTip(field.tip)
            number.setObjectName(field.name)
            number.edited.connect(self._edited)
            self.fields[field.name] = number
            caption = make_label(field.caption, "small", wrap=False)
            caption.setBuddy(number)
            grid.addWidget(caption, 2 * row, column_index)
            grid.addWidget(number, 2 * row + 1, column_index)
            grid.setColumnStretch(column_index, 1)
        self.spacing = make_label("", "small")
        grid.addWidget(self.spacing, 5, 1, 1, 2)
        for row in (2, 4, 6):  # keeps captions closer to their own fields than to those above
            grid.setRowMinimumHeight(row, 3 * GRID_PX - 2)
        column.addLayout(grid)
        self.hips = make_label("", "small")
        column.addWidget(self.hips)

    def _edited(self, value: float) -> None:
        number = self.sender()
        if not isinstance(number, NumberField):
            return
        caption = number.accessibleName().lower()
        try:
            self._volume.set(with_field(self._volume.current().chosen, number.objectName(), value), caption)
        except CoreError as error:
            show_error_dialog(error, self.window())
            self.refresh()
