"""Export page: result, formats, units and folder."""

from __future__ import annotations

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from core.errors import CoreError
from core.session import Take
from studio.jobs.tracked import TrackedJob
from studio.pages.export import presenter
from studio.shell.starting import start_job
from studio.shell.updating import UPDATE_TIP, start_update
from studio.state.app_state import AppState
from studio.theme import GRID_PX
from studio.widgets.buttons import ReasonButton, button, set_blocked
from studio.widgets.card import Card, clear_layout
from studio.widgets.choice import Choice
from studio.widgets.columns import Columns
from studio.widgets.data_table import DataTable
from studio.widgets.finding_row import FindingRow
from studio.widgets.page.scroll_page import ScrollPage
from studio.widgets.text import make_label, set_role

_TITLE_PX = 128
"""Width of the column with format titles in px."""


class ExportPage(ScrollPage):
    """Export page.

    Args:
        state: Selection of the window.
        parent: Owner.
    """

    def __init__(self, state: AppState, parent: QWidget | None = None) -> None:
        super().__init__("Export", "Write 3D poses and bodies for other tools.", parent)
        self._state = state
        self._take: Take | None = None
        self.export = ReasonButton(button("Export", "primary", "export"))
        self.export.push.clicked.connect(self.run)
        self.tools.addWidget(self.export)
        self.columns = Columns(breakpoint_px=860, stretch=(8, 5))
        self.content.addWidget(self.columns, 1)
        self.boxes: dict[str, QCheckBox] = {}
        self._descriptions: dict[str, QLabel] = {}
        rows = presenter.format_rows("auto", "auto", presenter.EVERYTHING)
        self.columns.left.addWidget(self._formats_card("Joint positions", [row for row in rows if not row.bodies]))
        self.bodies = self._formats_card("Bodies", [row for row in rows if row.bodies])
        self.fit_bodies = button("Go to View", "normal", "view", "Bodies are fitted on the View page")
        self.fit_bodies.clicked.connect(lambda: self._state.request_page("view", self._state.take_name))
        self.bodies.tools.addWidget(self.fit_bodies)
        self.columns.left.addWidget(self.bodies)
        self.columns.left.addStretch(1)
        self.columns.right.addWidget(self._settings_card())
        self.columns.right.addWidget(self._written_card())
        self.columns.right.addStretch(1)
        self._describe()
        self.refresh_when_visible(state.content_changed)
        state.jobs.active_changed.connect(self._jobs_changed)

    def run(self) -> None:
        """Export as a job."""
        session = self._state.session
        if session is None:
            return
        params = presenter.export_params(
            self._state.take_name,
            self.result.currentData() or "",
            self.formats(),
            self.folder.text().strip(),
            self.units.currentData(),
            self.up.currentData(),
        )
        start_job(self._state, session, "export", params, f"Export {params.take}", self.window())

    def formats(self) -> list[str]:
        """Return the selected formats."""
        return [name for name, box in self.boxes.items() if box.isChecked()]

    def refresh(self) -> None:
        """Show the results of the selected take on disk."""
        try:
            session, take = self._state.session, self._state.take
            choices = presenter.result_choices(session, take) if session is not None and take is not None else []
        except CoreError:
            take, choices = None, []  # the Record page reports damaged takes
        self._take = take
        names = [name for name, _ in choices]
        chosen = self._state.poses_name if self._state.poses_name in names else next(iter(names), "")
        self.result.offer([(text, name) for name, text in choices], chosen)
        self.result.setEnabled(bool(choices))
        warning = presenter.outdated_text(self._state, chosen)
        self.outdated_text.sentence.setText(warning)
        self.outdated.setVisible(bool(warning))
        self.take.setText(self._state.take_name or "no take")
        if self._state.session is not None:
            self.folder.setPlaceholderText(str(self._state.session.layout.exports))
        self._describe()
        self._jobs_changed()

    def _formats_card(self, title: str, rows: list[presenter.FormatRow]) -> Card:
        card = Card(title)
        grid = QGridLayout()
        grid.setHorizontalSpacing(2 * GRID_PX)
        grid.setVerticalSpacing(GRID_PX)
        grid.setColumnMinimumWidth(0, _TITLE_PX)  # equal in both cards
        grid.setColumnStretch(1, 1)
        card.body.addLayout(grid)
        for index, row in enumerate(rows):
            box = QCheckBox(row.title)
            box.setChecked(row.by_default)
            box.toggled.connect(self._jobs_changed)
            description = make_label(row.description, "small")
            self.boxes[row.name], self._descriptions[row.name] = box, description
            grid.addWidget(box, index, 0)
            grid.addWidget(description, index, 1)
        return card

    def _settings_card(self) -> Card:
        card = Card("Settings")
        grid = QGridLayout()
        grid.setHorizontalSpacing(2 * GRID_PX)
        grid.setVerticalSpacing(GRID_PX)
        grid.setColumnStretch(1, 1)
        self.take = make_label("", wrap=False)
        self.result = Choice()
        self.result.setPlaceholderText("No 3D result yet")
        self.result.activated.connect(self._result_chosen)
        self.units = _choice(presenter.UNITS)
        self.up = _choice(presenter.UPS)
        for box in (self.units, self.up):
            box.currentIndexChanged.connect(self._describe)
        self.folder = QLineEdit()
        self.folder.setAccessibleName("Folder")
        browse = button("", "normal", "folder", "Choose another folder")
        browse.setAccessibleName("Choose another folder")
        browse.clicked.connect(self._browse)
        where = QHBoxLayout()
        where.setSpacing(GRID_PX)
        where.addWidget(self.folder, 1)
        where.addWidget(browse)
        fields: tuple[tuple[str, QWidget | QHBoxLayout], ...] = (
            ("Take", self.take),
            ("Result", self.result),
            ("Units", self.units),
            ("Up axis", self.up),
            ("Folder", where),
        )
        for row, (text, field) in enumerate(fields):
            grid.addWidget(make_label(text, "muted", wrap=False), row, 0)
            if isinstance(field, QHBoxLayout):
                grid.addLayout(field, row, 1)
            else:
                field.setAccessibleName(text)
                grid.addWidget(field, row, 1)
        card.body.addLayout(grid)
        card.body.addWidget(self._outdated_row())
        return card

    def _outdated_row(self) -> QWidget:
        self.outdated = QWidget()
        column = QVBoxLayout(self.outdated)
        column.setContentsMargins(0, GRID_PX, 0, 0)
        self.outdated_text = FindingRow("warning", "")
        self.bring_up_to_date = button("Bring up to date", "normal", "retry", UPDATE_TIP)
        self.bring_up_to_date.clicked.connect(lambda: start_update(self._state, self.window()))
        column.addWidget(self.outdated_text)
        column.addWidget(self.bring_up_to_date, 0, Qt.AlignmentFlag.AlignRight)
        return self.outdated

    def _written_card(self) -> Card:
        self.written = Card("Exported files")
        self.open_folder = button("Open folder", "normal", "folder")
        self.open_folder.clicked.connect(self._open_folder)
        self.written.tools.addWidget(self.open_folder)
        self._files = QVBoxLayout()
        self.written.body.addLayout(self._files)
        self.table: DataTable | None = None
        return self.written

    def _describe(self) -> None:
        result = self.result.currentData() or ""
        content = presenter.result_content(self._take, result)
        for row in presenter.format_rows(self.units.currentData(), self.up.currentData(), content):
            self._descriptions[row.name].setText(row.description)
            set_role(self._descriptions[row.name], "warn" if row.problem else "small")
            box = self.boxes[row.name]
            if box.isEnabled() != row.fits:
                box.setEnabled(row.fits)
                box.setChecked(row.fits and row.by_default)
        note = presenter.bodies_note(self._take, result)
        self.bodies.set_note(note)
        self.fit_bodies.setVisible(bool(note))

    def _result_chosen(self) -> None:
        self._state.select_poses(self.result.currentData())

    def _browse(self) -> None:
        start = self.folder.text() or self.folder.placeholderText()
        chosen = QFileDialog.getExistingDirectory(self, "Export to", start)
        if chosen:
            self.folder.setText(chosen)

    def _jobs_changed(self, _job: TrackedJob | bool | None = None) -> None:
        reason = presenter.export_blocked(
            self._state.take_name, self.result.currentData() or "", self.formats(), self._state.jobs
        )
        self.export.set_blocked(reason)
        set_blocked(self.bring_up_to_date, self._state.jobs.why_not(), UPDATE_TIP)
        self._show_written()

    def _show_written(self) -> None:
        written = self._written_files()
        clear_layout(self._files)
        self.open_folder.setVisible(written is not None)
        self.table = None
        self.written.set_note(str(written.folder) if written else "")
        if written is None:
            self._files.addWidget(make_label("No files exported yet.", "muted"))
            return
        count = f"{len(written.files)} file{'s' if len(written.files) > 1 else ''}"
        self._files.addWidget(FindingRow("ok", f"{count} exported."))
        self.table = DataTable(("File", "Size"), right=(1,), stretch=0, shorten=True)
        self.table.set_rows(written.rows())
        self._files.addWidget(self.table)

    def _written_files(self) -> presenter.WrittenFiles | None:
        session = self._state.session
        return None if session is None else presenter.written_files(self._state.jobs, session.layout.exports)

    def _open_folder(self) -> None:
        if written := self._written_files():
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(written.folder)))


def _choice(options: tuple[tuple[str, str], ...]) -> Choice:
    box = Choice()
    for name, text in options:
        box.addItem(text, name)
    box.setSizeAdjustPolicy(Choice.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    return box
