"""Dialog for the download of a model, with purpose, licence and address."""

from __future__ import annotations

from urllib.parse import urlsplit

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFileDialog, QWidget

from core.pose2d.cards import ModelCard
from studio.shell.dialogs import Dialog
from studio.widgets.buttons import button
from studio.widgets.finding_row import FindingRow
from studio.widgets.text import make_label


class ConsentDialog(Dialog):
    """Dialog to download a model or to choose a local file.

    Args:
        card: The model.
        missing_bytes: Size of the download; None if unknown.
        parent: The window.

    Signals:
        consented: True to download, and the local file to use instead (empty for none).
    """

    consented = Signal(bool, str)

    def __init__(self, card: ModelCard, missing_bytes: int | None, parent: QWidget | None = None) -> None:
        super().__init__("Download model", parent, 560)
        hosts = sorted({urlsplit(f.url).hostname or "" for f in card.files if f.url})
        size = f", {missing_bytes / 1e6:.0f} MB" if missing_bytes else ""
        self.body.addWidget(make_label(f"{card.title} is not installed", "title"))
        self.body.addWidget(make_label(card.purpose))
        self.body.addWidget(FindingRow("info", f"Download from {', '.join(hosts)}{size}."))
        self.body.addWidget(FindingRow("info", f"Licence: {card.licence}"))
        if card.notes:
            self.body.addWidget(FindingRow("info", card.notes))
        self.body.addStretch(1)
        cancel = button("Cancel")
        cancel.clicked.connect(self.reject)
        pick = button("Choose a file…", "normal", "folder", "Use a local ONNX file")
        pick.clicked.connect(self._pick)
        self.download = button("Download", "primary", "import")
        self.download.clicked.connect(self._download)
        self.foot.addStretch(1)
        for push in (cancel, pick, self.download):
            self.foot.addWidget(push)

    def _download(self) -> None:
        self.consented.emit(True, "")
        self.accept()

    def _pick(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "Model file", "", "ONNX models (*.onnx);;All files (*)")
        if chosen:
            self.consented.emit(False, chosen)
            self.accept()
