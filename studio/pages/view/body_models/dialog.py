"""Dialogs to manage body models and to accept the terms of a new one."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from PySide6.QtCore import QTimer, QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from core.body.model import BodyModel
from core.body.models.families import COMMERCIAL_SITE, FAMILIES, FREE
from core.body.models.registry import BodyCard, body_models, keep_body_model, remove_body_model
from core.body.models.smpl import read_smpl
from core.errors import CoreError
from studio.background import Background
from studio.shell.dialogs import Dialog
from studio.theme import GRID_PX
from studio.widgets.buttons import button
from studio.widgets.card import clear_layout, separator
from studio.widgets.finding_row import FindingRow
from studio.widgets.text import make_label

_FILES = "Body models (*.pkl *.npz);;All files (*)"
_LIST_HEIGHT_PX, _ROW_HEIGHT_PX = 190, 62


class BodyModelsDialog(Dialog):
    """Dialog with the available body models, their terms, and the import of others.

    Args:
        parent: The window.

    Signals:
        changed: Models were added (name of the new one) or removed (empty).
    """

    changed = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Body models", parent, 640)
        self._background = Background(self)
        self.body.addWidget(make_label("Body models", "title"))
        self.body.addWidget(
            make_label("Bodies are fitted with one of these. Shapes of different models are not interchangeable.")
        )
        self._rows = QVBoxLayout()
        self._rows.setContentsMargins(0, 0, GRID_PX, 0)
        holder = QWidget()
        holder.setProperty("role", "scrolled")
        holder.setLayout(self._rows)
        self._area = QScrollArea()
        self._area.setWidgetResizable(True)
        self._area.setFrameShape(QFrame.Shape.NoFrame)
        self._area.setWidget(holder)
        self.body.addWidget(self._area)
        self.body.addWidget(separator())
        self.body.addWidget(make_label("Models of the SMPL family", "heading"))
        self.body.addWidget(
            make_label(
                "The Max Planck Institute for Intelligent Systems publishes them; they do not ship with this program. "
                "Register on a site below, download the model, unpack it, and add its .pkl or .npz file. It is stored "
                "only on this computer, never in a session."
            )
        )
        self.body.addLayout(_addresses())
        self.body.addWidget(FindingRow("info", FAMILIES["smplx"].terms))
        self.message = QVBoxLayout()
        self.body.addLayout(self.message)
        self.body.addStretch(1)
        close = button("Close", "primary")
        close.clicked.connect(self.accept)
        self.add = button("Add body model…", "normal", "plus")
        self.add.clicked.connect(self._choose)
        self.foot.addWidget(self.add)
        self.foot.addStretch(1)
        self.foot.addWidget(close)
        self._show_models()

    def add_file(self, path: Path) -> None:
        """Read a model file, and ask for consent to its terms."""
        self._show_message("info", f"Reading {path.name}…")
        self.add.setEnabled(False)
        self._background.run(partial(read_smpl, path), partial(self._ask, path), self._fail)

    def _choose(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "Add body model", "", _FILES)
        if chosen:
            self.add_file(Path(chosen))

    def _ask(self, path: Path, model: BodyModel) -> None:
        self._show_message("", "")
        self.add.setEnabled(True)
        dialog = TermsDialog(model, path, self)
        dialog.consented.connect(partial(self._keep, model, path))
        dialog.open()

    def _keep(self, model: BodyModel, path: Path, name: str) -> None:
        self._show_message("info", f"Adding {FAMILIES[model.family].title}…")
        self.add.setEnabled(False)
        self._background.run(partial(keep_body_model, model, path, name, accepted=True), self._added, self._fail)

    def _added(self, card: BodyCard) -> None:
        self.add.setEnabled(True)
        self._show_message("ok", f"{card.title} was added.")
        self._show_models()
        self.changed.emit(card.name)

    def _remove(self, card: BodyCard) -> None:
        try:
            remove_body_model(card.name)
        except (CoreError, OSError) as error:
            self._show_message("error", str(error))
            return
        self._show_message("info", f"{card.title} was removed from this computer. The original file is unchanged.")
        self._show_models()
        self.changed.emit("")

    def _fail(self, error: CoreError) -> None:
        self.add.setEnabled(True)
        self._show_message("error", error.message, error.hint)

    def _show_message(self, level: str, text: str, remedy: str = "") -> None:
        clear_layout(self.message)
        if text:
            self.message.addWidget(FindingRow(level, text, remedy))
        QTimer.singleShot(0, self, self._grow)  # after the new rows are styled

    def _grow(self) -> None:
        """Grow to the content, because wrapping labels do not resize the dialog."""
        layout = self.layout()
        assert layout is not None
        self.resize(self.width(), max(self.height(), layout.totalHeightForWidth(self.width())))

    def _show_models(self) -> None:
        clear_layout(self._rows)
        for card in body_models():
            row = QHBoxLayout()
            level = "error" if card.problem else "ok"
            origin = f"From {card.source}." if card.source else "Ships with the program."
            row.addWidget(FindingRow(level, card.title, card.problem or f"{origin} {card.about.terms}"), 1)
            if card.name != FREE:
                remove = button("Remove", "quiet", "close", "Remove this model from this computer")
                remove.setAccessibleName(f"Remove {card.title}")
                remove.clicked.connect(partial(self._remove, card))
                row.addWidget(remove)
            self._rows.addLayout(row)
        self._rows.addStretch(1)
        self._area.setFixedHeight(min(_LIST_HEIGHT_PX, _ROW_HEIGHT_PX * len(body_models())))
        QTimer.singleShot(0, self, self._grow)  # after the new rows are styled


class TermsDialog(Dialog):
    """Dialog to accept the terms of a model.

    Args:
        model: The model.
        path: Source file.
        parent: The window.

    Signals:
        consented: The terms were accepted; name for the model.
    """

    consented = Signal(str)

    def __init__(self, model: BodyModel, path: Path, parent: QWidget | None = None) -> None:
        super().__init__("Add body model", parent, 560)
        family = FAMILIES[model.family]
        self.body.addWidget(make_label(f"{family.title}, {model.gender}", "title"))
        self.body.addWidget(
            make_label(f"{path.name}: {len(model.template_mm):,} vertices, {len(model.joints)} joints", "muted")
        )
        self.body.addWidget(FindingRow("info", f"Licence: {family.terms}"))
        self.body.addWidget(
            FindingRow("info", "Exported meshes have the shape of the model: check the licence before you share them.")
        )
        links = QHBoxLayout()
        links.addWidget(_link("Read the licence", family.licence_site))
        links.addWidget(_link("Commercial licences", COMMERCIAL_SITE))
        links.addStretch(1)
        self.body.addLayout(links)
        taken = {card.name for card in body_models()}
        names = (model.name, *(f"{model.name}_{k}" for k in range(2, len(taken) + 3)))
        self.name = QLineEdit(next(name for name in names if name not in taken))
        self.name.setAccessibleName("Name")
        row = QHBoxLayout()
        row.addWidget(make_label("Name", "strong", wrap=False))
        row.addWidget(self.name, 1)
        self.body.addLayout(row)
        self.agree = QCheckBox(f"I have read the licence of {family.title} and accept it")
        self.body.addWidget(self.agree)
        self.body.addStretch(1)
        cancel = button("Cancel")
        cancel.clicked.connect(self.reject)
        self.go = button("Add", "primary", "plus")
        self.go.setEnabled(False)
        self.agree.toggled.connect(self.go.setEnabled)
        self.go.clicked.connect(self._consent)
        self.foot.addStretch(1)
        self.foot.addWidget(cancel)
        self.foot.addWidget(self.go)

    def _consent(self) -> None:
        self.consented.emit(self.name.text().strip())
        self.accept()


def _addresses() -> QGridLayout:
    """Return one row per family with website and licence, and one for commercial licences."""
    grid = QGridLayout()
    grid.setHorizontalSpacing(2 * GRID_PX)
    grid.setVerticalSpacing(2)
    grid.setColumnStretch(3, 1)
    families = [family for family in FAMILIES.values() if family.site]
    for row, family in enumerate(families):
        grid.addWidget(make_label(family.title, "strong", wrap=False), row, 0)
        grid.addWidget(_link(urlsplit(family.site).hostname or "", family.site), row, 1)
        grid.addWidget(_link("Licence", family.licence_site), row, 2)
        grid.addWidget(make_label(family.reference, "small", wrap=False), row, 3)
    grid.addWidget(make_label("Commercial use", "strong", wrap=False), len(families), 0)
    grid.addWidget(_link(urlsplit(COMMERCIAL_SITE).hostname or "", COMMERCIAL_SITE), len(families), 1)
    return grid


def _link(text: str, address: str) -> QPushButton:
    push = button(text, "link", "", f"Open {address} in the browser")
    push.clicked.connect(lambda: QDesktopServices.openUrl(QUrl(address)))
    return push
