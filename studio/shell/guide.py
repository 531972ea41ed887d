"""Guide to the pages."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtWidgets import QGridLayout, QWidget

from studio.shell.dialogs import Dialog
from studio.specs import PageSpec
from studio.theme import GRID_PX
from studio.widgets.buttons import button
from studio.widgets.icon_label import IconLabel
from studio.widgets.text import make_label

_FILES = (
    "All results are stored in the folder of the session (Session, Show session folder). Deleted takes, results "
    "and jobs go to the bin, and most changes can be undone with Ctrl+Z. Jobs continue without the window."
)


class GuideDialog(Dialog):
    """Description of each page in the order of the workflow.

    Args:
        pages: The pages.
        parent: The window.
    """

    def __init__(self, pages: Iterable[PageSpec], parent: QWidget | None = None) -> None:
        super().__init__("Guide", parent, 680)
        self.body.addWidget(make_label("From cameras to people in 3D", "title"))
        grid = QGridLayout()
        grid.setHorizontalSpacing(2 * GRID_PX)
        grid.setVerticalSpacing(2 * GRID_PX)
        grid.setColumnStretch(2, 1)
        row = 0
        for page in pages:
            if page.guide:
                self._add(grid, row, page.icon, page.title, page.guide)
                row += 1
        self._add(grid, row, "folder", "Files", _FILES)
        self.body.addLayout(grid)
        self.body.addStretch(1)
        self.foot.addStretch(1)
        close = button("Close", "primary")
        close.clicked.connect(self.accept)
        self.foot.addWidget(close)

    @staticmethod
    def _add(grid: QGridLayout, row: int, icon: str, title: str, text: str) -> None:
        grid.addWidget(IconLabel(icon, "muted", 20), row, 0)
        grid.addWidget(make_label(title, "strong", wrap=False), row, 1)
        grid.addWidget(make_label(text), row, 2)
