"""Page that is divided into steps, with a banner that stays visible."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from studio.theme import GRID_PX
from studio.widgets.page.banner import Banner
from studio.widgets.page.panels import Panels
from studio.widgets.page.scroll_page import RefreshedPage, ScrollColumn
from studio.widgets.text import make_label


class StepPage(RefreshedPage):
    """Title, banner and numbered steps in a fixed header; the content of the selected step scrolls below.

    Args:
        title: Title of the page.

    Attributes:
        tools: Layout at the right end of the header.
        banner: Sentence under the title.
        steps: Tabs of the steps.
    """

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, GRID_PX + GRID_PX // 2, 0, 0)
        outer.setSpacing(GRID_PX)
        head = QHBoxLayout()
        head.setContentsMargins(3 * GRID_PX, 0, 3 * GRID_PX, 0)
        head.setSpacing(GRID_PX)
        head.addWidget(make_label(title, "title", wrap=False), 1)
        self.tools = QHBoxLayout()
        self.tools.setSpacing(GRID_PX)
        head.addLayout(self.tools)
        head.setAlignment(self.tools, Qt.AlignmentFlag.AlignVCenter)
        outer.addLayout(head)
        self.banner = Banner()
        below = QHBoxLayout()
        below.setContentsMargins(3 * GRID_PX, 0, 3 * GRID_PX, 0)
        below.addWidget(self.banner)
        outer.addLayout(below)
        self.steps = Panels("steps", 3 * GRID_PX)
        outer.addWidget(self.steps, 1)

    def add_step(self, name: str, title: str, tip: str) -> ScrollColumn:
        """Append a step and return its scroll area; cards go into its `content`."""
        column = ScrollColumn()
        self.steps.add(name, f"{len(self.steps.names) + 1}  {title}", column, tip)
        return column
