"""Empty states of the Record page for a session without cameras."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from core.capture.source import FoundCamera
from studio.pages.record import presenter
from studio.theme import GRID_PX
from studio.widgets.buttons import button, set_blocked
from studio.widgets.card import Card
from studio.widgets.empty_state import EmptyState
from studio.widgets.text import make_label

_PEOPLE_TIP = "Four simulated cameras with people, to try everything without real cameras"
_BOARD_TIP = "Four simulated cameras with a calibration board, to try everything without real cameras"
_FILES_TIP = "Play your own videos as cameras"
_IMPORT_TIP = "Create a take from one video per camera"


class CameraOffers:
    """Buttons to add cameras.

    Args:
        slots: Slot by name: "found", "address", "people", "board", "files" and "import".

    Attributes:
        found: Button for connected cameras; hidden if there are none.
        address: Button for a camera by its address.
        people: Button for simulated cameras of people.
        board: Button for simulated cameras of a board.
        files: Button for videos played as cameras.
        imports: Button for the import of videos.
    """

    def __init__(self, slots: Mapping[str, Any]) -> None:
        self.found = button("Use them", "primary", "record")
        self.address = button("Add by address…", "normal", "plus", "Network camera, phone, or a video file")
        self.people = button("Demo: people", "normal", "person", _PEOPLE_TIP)
        self.board = button("Demo: board", "normal", "calibrate", _BOARD_TIP)
        self.files = button("Play files…", "normal", "film", _FILES_TIP)
        self.imports = button("Import videos…", "normal", "import", _IMPORT_TIP)
        for name, push in (
            ("found", self.found),
            ("address", self.address),
            ("people", self.people),
            ("board", self.board),
            ("files", self.files),
            ("import", self.imports),
        ):
            push.clicked.connect(lambda _checked=False, slot=slots[name]: slot())
        self.found.hide()

    @property
    def all(self) -> tuple[QPushButton, ...]:
        """All buttons, the most likely choice first."""
        return (self.found, self.address, self.people, self.board, self.files)

    def show_found(self, found: Sequence[FoundCamera]) -> None:
        """Show the button for connected cameras."""
        self.found.setVisible(bool(found))
        self.found.setText(f"Use {len(found)} cameras" if len(found) > 1 else "Use it")

    def set_blocked(self, reason: str) -> None:
        """Disable the import for a reason."""
        set_blocked(self.imports, reason, _IMPORT_TIP)


class NoTakes(QWidget):
    """Empty state of a session without cameras and takes.

    Args:
        slots: See `CameraOffers`.
    """

    def __init__(self, slots: Mapping[str, Any]) -> None:
        super().__init__()
        self.offers = CameraOffers(slots)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        self._state = EmptyState("record", "No takes yet", "", *self.offers.all, self.offers.imports)
        box.addWidget(self._state)

    def show_found(self, found: Sequence[FoundCamera], *, searched: bool) -> None:
        """Show which cameras were found."""
        self.offers.show_found(found)
        text = presenter.found_text(found, searched=searched)
        self._state.sentence.setText(
            f"{text} Record with cameras of this computer, of the network, or with simulated ones; or import videos, "
            "one per camera. Different lengths, rotated phones and variable frame rates are handled and noted."
        )

    def set_blocked(self, reason: str) -> None:
        """Disable the import for a reason."""
        self.offers.set_blocked(reason)


class NoCameras(Card):
    """Card above the takes of a session without cameras.

    Args:
        slots: See `CameraOffers`.
    """

    def __init__(self, slots: Mapping[str, Any]) -> None:
        super().__init__()
        self.offers = CameraOffers(slots)
        self._text = make_label("", "muted")
        row = QHBoxLayout()
        row.setSpacing(GRID_PX)
        row.addWidget(make_label("Cameras", "heading", wrap=False))
        row.addSpacing(GRID_PX)
        row.addWidget(self._text, 1)
        for push in self.offers.all:
            row.addWidget(push)
        self.body.addLayout(row)

    def show_found(self, found: Sequence[FoundCamera], *, searched: bool) -> None:
        """Show which cameras were found."""
        self.offers.show_found(found)
        self._text.setText(presenter.found_text(found, searched=searched))

    def set_blocked(self, reason: str) -> None:
        """Do nothing: cameras can be added while a job runs."""
