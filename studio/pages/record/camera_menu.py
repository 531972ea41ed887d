"""Menu of the Record page to add cameras."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QFileDialog, QWidget

from core.capture.modes import ranked_modes, with_mode
from studio.pages.record import presenter
from studio.pages.record.address_dialog import AddressDialog
from studio.state.app_state import AppState
from studio.widgets.buttons import MenuButton

_MOST_MODES = 16


class CameraMenu(QObject):
    """Menu with connected cameras, cameras by address, files, and simulated cameras.

    Args:
        state: State of the window.
        page: Page of the dialogs.

    Attributes:
        push: Button that opens the menu.

    Signals:
        added: Cameras were added.
        demo_added: Simulated cameras of people (True) or a board (False) were added.
    """

    added = Signal()
    demo_added = Signal(bool)

    def __init__(self, state: AppState, page: QWidget) -> None:
        super().__init__(page)
        self._page, self._cameras, self._settings = page, state.cameras, state.settings
        self.push = MenuButton("Add cameras", "Add cameras", "plus")
        self.push.entries.aboutToShow.connect(self.fill)

    def fill(self) -> None:
        """Fill the menu with the available cameras."""
        menu = self.push.entries
        menu.clear()
        used = {_base(one.partition("=")[2]) for one in self._cameras.cameras}
        for camera in self._cameras.found:
            free = _base(camera.address) not in used
            if len(camera.modes) > 1:
                modes = menu.addMenu(camera.title)
                modes.setEnabled(free)
                modes.addAction("Automatic").triggered.connect(partial(self.add, [camera.address]))
                for mode in ranked_modes(camera.modes)[:_MOST_MODES]:
                    action = modes.addAction(str(mode))
                    action.triggered.connect(partial(self.add, [with_mode(camera.address, mode)]))
            else:
                action = menu.addAction(camera.title)
                action.setToolTip(camera.address)
                action.setEnabled(free)
                action.triggered.connect(partial(self.add, [camera.address]))
        if not self._cameras.found:
            menu.addAction(presenter.found_text((), searched=self._cameras.searched)).setEnabled(False)
        menu.addSeparator()
        menu.addAction("By address…").triggered.connect(self.add_by_address)
        menu.addAction("Play files as cameras…").triggered.connect(self.play_files)
        menu.addSeparator()
        menu.addAction("Sample videos, played live").triggered.connect(self._add_sample)
        menu.addAction("Demo cameras: people").triggered.connect(partial(self.add_demo, people=True))
        menu.addAction("Demo cameras: board").triggered.connect(partial(self.add_demo, people=False))

    def add(self, addresses: Sequence[str], _checked: bool = False) -> None:
        """Add cameras."""
        self._cameras.add(addresses)
        self.added.emit()

    def add_found(self) -> None:
        """Add all connected cameras."""
        self.add([camera.address for camera in self._cameras.found])

    def add_demo(self, _checked: bool = False, *, people: bool) -> None:
        """Add simulated cameras of people or of a board."""
        self._cameras.add_demo(people=people)
        self.demo_added.emit(people)
        self.added.emit()

    def add_by_address(self) -> AddressDialog:
        """Ask for the address of a camera."""
        dialog = AddressDialog(self._page.window())
        dialog.chosen.connect(lambda camera: self.add([camera]))
        dialog.open()
        return dialog

    def play_files(self) -> None:
        """Ask for videos, and add them as cameras."""
        start = self._settings.value.last_folder
        title = "Play videos as cameras"
        chosen, _ = QFileDialog.getOpenFileNames(self._page, title, start, presenter.VIDEO_FILES)
        if chosen:
            self._settings.update(last_folder=str(Path(chosen[0]).parent))
            self.add(chosen)

    def _add_sample(self, _checked: bool = False) -> None:
        self._cameras.add_sample()
        self.added.emit()


def _base(address: str) -> str:
    """Return an address without its mode."""
    return address.partition("?")[0]
