"""Dialog to add a camera by its address, with a test of the connection."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Signal
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QGridLayout, QLineEdit, QWidget

from core.errors import CoreError
from studio.background import Background
from studio.pages.record import presenter
from studio.shell.dialogs import Dialog
from studio.theme import GRID_PX
from studio.widgets.buttons import button
from studio.widgets.images.image_view import ImageView
from studio.widgets.text import make_label, set_role


class AddressDialog(Dialog):
    """Dialog for address and name of a camera.

    Args:
        parent: The window.

    Signals:
        chosen: The camera as "address" or "name=address".
    """

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Add camera", parent, 560)
        self.body.addWidget(make_label("Add camera", "title"))
        self.body.addWidget(
            make_label("Address of a network camera or phone, or path of a video file to play as a camera.", "muted")
        )
        grid = QGridLayout()
        grid.setHorizontalSpacing(2 * GRID_PX)
        grid.setVerticalSpacing(GRID_PX)
        grid.setColumnStretch(1, 1)
        self.address = QLineEdit()
        self.address.setAccessibleName("Address")
        self.address.setPlaceholderText("rtsp://192.168.1.20/stream or http://192.168.1.30:8080/video")
        self.name = QLineEdit()
        self.name.setAccessibleName("Name")
        self.name.setPlaceholderText("Automatic, and stable")
        for row, (title, field) in enumerate((("Address", self.address), ("Name", self.name))):
            grid.addWidget(make_label(title, "strong", wrap=False), row, 0)
            grid.addWidget(field, row, 1)
        self.body.addLayout(grid)
        self.image = ImageView()
        self.image.message = "Test the address to see an image of the camera."
        self.image.setMinimumHeight(26 * GRID_PX)
        self.body.addWidget(self.image, 1)
        self.message = make_label("", "small")
        self.body.addWidget(self.message)
        self._background = Background(self)
        self.test = button("Test", "normal", "record", "Connect to the camera and show an image")
        self.test.clicked.connect(self._test)
        self.foot.addWidget(self.test)
        self.foot.addStretch(1)
        cancel = button("Cancel")
        cancel.clicked.connect(self.reject)
        self.foot.addWidget(cancel)
        self.go = button("Add", "primary", "plus")
        self.go.clicked.connect(self._add)
        self.foot.addWidget(self.go)
        for field in (self.address, self.name):
            field.textChanged.connect(self._check)
        self._check()

    def _check(self) -> None:
        problem = presenter.address_problem(self.address.text(), self.name.text())
        self.go.setEnabled(not problem)
        self.test.setEnabled(not problem and not self._background.busy)
        self.go.setToolTip(problem)
        self._show_message(problem if self.address.text().strip() else "", "warn")

    def _show_message(self, text: str, role: str) -> None:
        set_role(self.message, role)
        self.message.setText(text)

    def _test(self) -> None:
        self.image.show_message("Connecting…")
        self._background.run(
            partial(presenter.try_camera, self.address.text().strip()), self._show_image, self._show_failure
        )
        self._check()

    def _show_image(self, tested: tuple[QImage, str]) -> None:
        self.image.set_image(tested[0])
        self._check()
        self._show_message(tested[1], "good")

    def _show_failure(self, error: CoreError) -> None:
        self.image.show_message(error.message)
        self._check()
        self._show_message(error.hint, "warn")

    def _add(self) -> None:
        name, address = self.name.text().strip(), self.address.text().strip()
        self.chosen.emit(f"{name}={address}" if name else address)
        self.accept()
