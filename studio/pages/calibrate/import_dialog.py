"""Dialog for the import of a calibration file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args, get_type_hints

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QGridLayout, QWidget

from core.pipelines.params import ImportRigParams
from core.rig_io.import_findings import READING_TEXT, ROTATION_TEXT
from core.rig_io.importers import IMPORTERS
from studio.shell.dialogs import Dialog
from studio.theme import GRID_PX
from studio.widgets.buttons import button
from studio.widgets.choice import Choice
from studio.widgets.text import make_label

_AUTO = "Auto-detect"
_UNITS = {"mm": "Millimetres", "cm": "Centimetres", "m": "Metres"}


class ImportRigDialog(Dialog):
    """Dialog for format, unit, up axis and meaning of the poses of a file, which are detected by default.

    Args:
        path: The file.
        parent: The window.

    Signals:
        chosen: Settings of the import (`ImportRigParams`).
    """

    chosen = Signal(object)

    def __init__(self, path: Path, parent: QWidget | None = None) -> None:
        super().__init__("Import calibration", parent, 480)
        self._path = path
        self.body.addWidget(make_label("Import calibration", "title"))
        self.body.addWidget(make_label(path.name, "muted"))
        self.format, self.units, self.up = Choice(), Choice(), Choice()
        self._fill(self.format, {name: IMPORTERS.get(name).title for name in IMPORTERS})
        self._fill(self.units, {name: _UNITS[name] for name in _choices("units")})
        self._fill(self.up, {name: f"{name} up" for name in _choices("up")})
        self.pose_is, self.rotation_is = Choice(), Choice()
        self._fill(self.pose_is, {name: READING_TEXT[name].capitalize() for name in _choices("pose_is")})
        self.rotation_is.addItem("As in the file", "as_stated")
        for name, text in ROTATION_TEXT.items():
            self.rotation_is.addItem(text.capitalize(), name)
        grid = QGridLayout()
        grid.setHorizontalSpacing(2 * GRID_PX)
        grid.setVerticalSpacing(GRID_PX)
        grid.setColumnStretch(1, 1)
        rows = {
            "Format": self.format,
            "Length unit": self.units,
            "Up axis": self.up,
            "Camera poses": self.pose_is,
            "Rotations": self.rotation_is,
        }
        for row, (text, box) in enumerate(rows.items()):
            box.setAccessibleName(text)
            grid.addWidget(make_label(text, "muted", wrap=False), row, 0)
            grid.addWidget(box, row, 1)
        self.body.addLayout(grid)
        self.folder = QCheckBox(f"Read all camera files in “{path.parent.name}”")
        self.folder.setVisible(_has_siblings(path))
        self.body.addWidget(self.folder)
        self.body.addWidget(make_label("The imported calibration is checked and drawn over the images.", "small"))
        self.foot.addStretch(1)
        cancel = button("Cancel")
        cancel.clicked.connect(self.reject)
        self.foot.addWidget(cancel)
        self.go = button("Import", "primary", "import")
        self.go.clicked.connect(self._import)
        self.foot.addWidget(self.go)

    @property
    def params(self) -> ImportRigParams:
        """Settings chosen in the dialog."""
        return ImportRigParams(
            path=str(self._path.parent if self.folder.isChecked() else self._path),
            format=self.format.currentData(),
            units=self.units.currentData(),
            up=self.up.currentData(),
            pose_is=self.pose_is.currentData(),
            rotation_is=self.rotation_is.currentData(),
        )

    def _import(self) -> None:
        self.chosen.emit(self.params)
        self.accept()

    @staticmethod
    def _fill(box: Choice, choices: dict[str, str]) -> None:
        box.addItem(_AUTO, "auto")
        for name, text in choices.items():
            box.addItem(text, name)


def _choices(field: str) -> list[Any]:
    """Return the values of an import setting except "auto"."""
    return [value for value in get_args(get_type_hints(ImportRigParams)[field]) if value != "auto"]


def _has_siblings(path: Path) -> bool:
    """Return whether the folder contains several files for single cameras (YAML, XML or JSON)."""
    one_camera_each = path.suffix.lower() in (".yaml", ".yml", ".xml", ".json")
    return one_camera_each and sum(1 for _ in path.parent.glob(f"*{path.suffix}")) > 1
