"""Dialog to trim or split a take."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QGridLayout, QLineEdit, QWidget

from core.pipelines.params import CutTakeParams
from core.session import TakeManifest
from studio.pages.record import presenter
from studio.shell.dialogs import Dialog
from studio.theme import GRID_PX
from studio.widgets.buttons import button
from studio.widgets.number_field import NumberField
from studio.widgets.text import make_label


class CutDialog(Dialog):
    """Dialog for start and end of the part, or the time of the split, and the new name.

    Args:
        manifest: Manifest of the take.
        split: Split the take instead of trimming it.
        name: Proposed name; split takes get the suffixes "_a" and "_b".
        problem: Function that returns why a name is not allowed; empty if it is.
        parent: The window.

    Signals:
        chosen: Settings of the cut (`CutTakeParams`).
    """

    chosen = Signal(object)

    def __init__(
        self,
        manifest: TakeManifest,
        *,
        split: bool,
        name: str,
        problem: Callable[[str], str],
        parent: QWidget | None = None,
    ) -> None:
        title = f"{'Split' if split else 'Trim'} {manifest.name}"
        super().__init__(title, parent, 480)
        self._take, self._split, self._name_problem = manifest.name, split, problem
        self._length_s = length_s = presenter.length_s(manifest)
        becomes = "Both parts become new takes" if split else "The part becomes a new take"
        self.body.addWidget(make_label(title, "title"))
        self.body.addWidget(
            make_label(
                f"{manifest.name} lasts {length_s:.3f} s. {becomes} with the same video files and 2D poses; the take "
                "itself does not change.",
                "muted",
            )
        )
        grid = QGridLayout()
        grid.setHorizontalSpacing(2 * GRID_PX)
        grid.setVerticalSpacing(GRID_PX)
        grid.setColumnStretch(1, 1)
        wanted = {"Split at": length_s / 2} if split else {"From": 0.0, "To": length_s}
        self.times: list[NumberField] = []
        for row, (label, value) in enumerate(wanted.items()):
            field = NumberField(label, "s", 3)
            field.setKeyboardTracking(True)  # updates the button while a number is being typed
            field.setRange(0.0, round(length_s, 3))
            field.setValue(value)
            field.valueChanged.connect(self._check)
            self.times.append(field)
            grid.addWidget(make_label(label, "strong", wrap=False), row, 0)
            grid.addWidget(field, row, 1)
        self.name = QLineEdit(name)
        self.name.setAccessibleName("Name")
        self.name.textChanged.connect(self._check)
        grid.addWidget(make_label("Name", "strong", wrap=False), len(wanted), 0)
        grid.addWidget(self.name, len(wanted), 1)
        self.body.addLayout(grid)
        self.problem = make_label("", "warn")
        self.body.addWidget(self.problem)
        self.foot.addStretch(1)
        cancel = button("Cancel")
        cancel.clicked.connect(self.reject)
        self.foot.addWidget(cancel)
        self.go = button("Split" if split else "Trim", "primary")
        self.go.clicked.connect(self._cut)
        self.foot.addWidget(self.go)
        self._check()

    @property
    def params(self) -> CutTakeParams:
        """Settings chosen in the dialog."""
        name = self.name.text().strip()
        first = self.times[0].value()
        if self._split:
            return CutTakeParams(take=self._take, at_s=first, name=name)
        to_end = self.times[1].value() >= self.times[1].maximum()
        return CutTakeParams(take=self._take, from_s=first, to_s=None if to_end else self.times[1].value(), name=name)

    def _check(self) -> None:
        values = [field.value() for field in self.times]
        problem = presenter.cut_problem(values, round(self._length_s, 3))
        names = [f"{self.name.text().strip()}{end}" for end in (("_a", "_b") if self._split else ("",))]
        problem = problem or next((text for name in names if (text := self._name_problem(name))), "")
        self.problem.setText(problem)
        self.problem.setVisible(bool(problem))
        self.go.setEnabled(not problem)
        self.go.setToolTip(problem)

    def _cut(self) -> None:
        self.chosen.emit(self.params)
        self.accept()
