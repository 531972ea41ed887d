"""The capture volume on a page: what it is, and fields to change it."""

from __future__ import annotations

from PySide6.QtWidgets import QGridLayout, QVBoxLayout, QWidget

from core.errors import CoreError
from studio.shell.dialogs import show_error_dialog
from studio.state.volume import VolumeState
from studio.theme import GRID_PX
from studio.volume.text import FIELDS, changed, volume_words
from studio.widgets.card import clear_layout
from studio.widgets.finding_row import FindingRow
from studio.widgets.number_field import NumberField
from studio.widgets.text import label

_COLUMNS = 3


class VolumeEditor(QWidget):
    """Shows the capture volume of the session, and changes it.

    It reads nothing until it is told to `refresh`: deriving takes time that only a page in sight should spend.

    Args:
        space: Whose capture volume.

    Attributes:
        fields: By name, as in `studio.volume.text.FIELDS`.
        details: The part that can be folded away, by `unfold`.
    """

    def __init__(self, volume: VolumeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._volume = volume
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        self.size_words = label("", "strong")
        self.voxel_words = label("", "muted")
        self.origin = label("", "small")
        for words in (self.size_words, self.voxel_words, self.origin):
            column.addWidget(words)
        self._doubts = QVBoxLayout()
        self._doubts.setSpacing(4)
        column.addLayout(self._doubts)
        self.details = QWidget()
        column.addWidget(self.details)
        self.fields: dict[str, NumberField] = {}
        self._unfolded, self._known = True, True
        self._fill_details()

    def refresh(self) -> None:
        """Shows what is on disk."""
        clear_layout(self._doubts)
        try:
            words = volume_words(self._volume.current())
        except CoreError as error:
            self._show_problem(error)
            return
        self.size_words.setText(words.size)
        self.voxel_words.setText(words.voxels)
        self.origin.setText(words.origin)
        self.spacing.setText(words.spacing)
        self.hips.setText(words.hips)
        for name, field in self.fields.items():
            field.show_value(words.values[name])
        for doubt in words.doubts:
            self._doubts.addWidget(FindingRow(*doubt))
        self._known = True
        self._show_parts()

    def unfold(self, shown: bool) -> None:
        """Shows or hides the fields."""
        self._unfolded = shown
        self._show_parts()

    def reset(self) -> None:
        """Has it derived again."""
        try:
            self._volume.reset()
        except CoreError as error:
            show_error_dialog(error, self.window())

    def _show_problem(self, error: CoreError) -> None:
        level = "error" if self._volume.has_rig else "info"  # a new session lacks something; nothing is wrong with it
        self._doubts.addWidget(FindingRow(level, error.message, error.hint))
        self._known = False
        self._show_parts()

    def _show_parts(self) -> None:
        for part in (self.size_words, self.voxel_words, self.origin):
            part.setVisible(self._known)
        self.details.setVisible(self._known and self._unfolded)

    def _fill_details(self) -> None:
        column = QVBoxLayout(self.details)
        column.setContentsMargins(0, GRID_PX, 0, 0)
        column.setSpacing(GRID_PX)
        grid = QGridLayout()
        grid.setHorizontalSpacing(GRID_PX)
        grid.setVerticalSpacing(2)
        for index, field in enumerate(FIELDS):
            # The distance of voxels stands alone in the third row.
            row, place = divmod(index if index < 7 else index + 2, _COLUMNS)
            number = NumberField(field.caption, field.unit, field.decimals)
            number.setRange(field.low, field.high)
            number.setSingleStep(field.step)
            number.setToolTip(field.tip)
            number.setObjectName(field.name)
            number.edited.connect(self._edited)
            self.fields[field.name] = number
            caption = label(field.caption, "small", wrap=False)
            caption.setBuddy(number)
            grid.addWidget(caption, 2 * row, place)
            grid.addWidget(number, 2 * row + 1, place)
            grid.setColumnStretch(place, 1)
        self.spacing = label("", "small")
        grid.addWidget(self.spacing, 5, 1, 1, 2)
        for row in (2, 4, 6):  # each caption is nearer to its own number than to the one above
            grid.setRowMinimumHeight(row, 3 * GRID_PX - 2)
        column.addLayout(grid)
        self.hips = label("", "small")
        column.addWidget(self.hips)

    def _edited(self, value: float) -> None:
        number = self.sender()
        if not isinstance(number, NumberField):
            return
        what = number.accessibleName().lower()
        try:
            self._volume.set(changed(self._volume.current().chosen, number.objectName(), value), what)
        except CoreError as error:
            show_error_dialog(error, self.window())
            self.refresh()
