"""Tests of what every control and dialog has in common: the wheel and the Enter key."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QImage, QWheelEvent
from PySide6.QtWidgets import QAbstractSpinBox, QApplication, QComboBox, QSlider, QWidget

import studio
from core.body.models.free import free_body
from core.files import resource
from core.jobs import Job, JobSpec
from core.pose2d.cards import model_cards
from core.session import Session
from studio.jobs.panel import JobDetails
from studio.jobs.tracked import TrackedJob
from studio.main_window import MainWindow
from studio.pages.calibrate.floor.dialog import FloorDialog
from studio.pages.calibrate.import_dialog import ImportRigDialog
from studio.pages.record.address_dialog import AddressDialog
from studio.pages.record.cut_dialog import CutDialog
from studio.pages.record.import_dialog import ImportDialog
from studio.pages.registry import PAGES
from studio.pages.train.consent_dialog import ConsentDialog
from studio.pages.view.body_models.dialog import BodyModelsDialog, TermsDialog
from studio.pages.view.film_dialog import FilmDialog
from studio.pages.view.picture_dialog import PictureDialog
from studio.shell.dialogs import AboutDialog, Dialog, ErrorDialog, QuestionDialog, ShortcutsDialog
from studio.shell.guide import GuideDialog
from studio.shell.new_session_dialog import NewSessionDialog
from studio.shell.rename_dialog import RenameDialog
from studio.shell.replace_dialog import ReplaceDialog
from studio.widgets.images.image_tiles import ImageDialog
from studio.widgets.images.image_view import ImageView, to_image

_BARE = re.compile(
    r"\bQ(ComboBox|FontComboBox|SpinBox|DoubleSpinBox|AbstractSpinBox|Slider|Dial|TabBar|TabWidget|DateEdit|TimeEdit)\("
)
"""Controls of Qt whose value the wheel changes."""


def _bare_controls(folder: Path) -> list[str]:
    """Return the places where a page makes a control that the wheel changes."""
    return [
        f"{path.name}: {match[0]}"
        for path in sorted(folder.rglob("*.py"))
        for match in _BARE.finditer(re.sub(r"^class .*", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE))
    ]


def test_no_page_uses_a_control_that_the_wheel_changes(tmp_path: Path) -> None:
    assert _bare_controls(Path(studio.__path__[0])) == []
    (tmp_path / "page.py").write_text("box = QComboBox()\nnumber = QSpinBox(self)\n")
    assert _bare_controls(tmp_path) == ["page.py: QComboBox(", "page.py: QSpinBox("]


def _wheel(widget: QWidget, steps: int) -> bool:
    """Turn the wheel over a widget; return whether it took the event."""
    at = QPointF(widget.rect().center())
    event = QWheelEvent(
        at,
        widget.mapToGlobal(at),
        QPoint(),
        QPoint(0, steps),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    event.ignore()
    QApplication.sendEvent(widget, event)
    return event.isAccepted()


def _value(control: QWidget) -> object:
    if isinstance(control, QComboBox):
        return control.currentIndex()
    return control.value()  # type: ignore[attr-defined]


@pytest.mark.slow
def test_the_wheel_changes_no_control_of_any_page(window: MainWindow, sample_session: Session) -> None:
    window.open_path(sample_session.root)
    for spec in PAGES:
        window.show_page(spec.name)
    kinds = (QComboBox, QAbstractSpinBox, QSlider)
    controls = [c for kind in kinds for c in window.findChildren(kind)]
    assert {type(c).__name__ for c in controls} >= {"Choice", "NumberField"}
    for control in controls:
        if isinstance(control, QComboBox) and control.count() == 1:
            control.addItem("another")
        control.setFocus()
        before = _value(control)
        for steps in (-120, 120, 240):
            accepted = _wheel(control, steps)
            assert _value(control) == before, f"{control.accessibleName()!r} changed"
            assert not accepted, f"{control.accessibleName()!r} keeps the wheel from the page"


# ---- dialogs


def _tracked(tmp_path: Path) -> TrackedJob:
    JobSpec(verb="train", title="Train").save(tmp_path)
    return TrackedJob(Job(tmp_path))


def _image_dialog(window: MainWindow) -> ImageDialog:
    tile = ImageView("cam01", window)
    tile.set_image(to_image(np.zeros((9, 16, 3), np.uint8)))
    assert isinstance(tile.image, QImage)
    return ImageDialog([tile], 0, "", window)


def _address_dialog(window: MainWindow) -> AddressDialog:
    dialog = AddressDialog(window)
    dialog.address.setText("rtsp://192.0.2.7/one")
    return dialog


def _terms_dialog(window: MainWindow, folder: Path) -> TermsDialog:
    dialog = TermsDialog(free_body(), folder / "model.npz", window)
    dialog.agree.setChecked(True)
    return dialog


Make = Callable[[MainWindow, Session, Path], Dialog]
DIALOGS: dict[type[Dialog], Make] = {
    AboutDialog: lambda window, _session, _folder: AboutDialog(window),
    AddressDialog: lambda window, _session, _folder: _address_dialog(window),
    BodyModelsDialog: lambda window, _session, _folder: BodyModelsDialog(window),
    ConsentDialog: lambda window, _session, _folder: ConsentDialog(next(iter(model_cards().values())), 1, window),
    CutDialog: lambda window, session, _folder: CutDialog(
        session.take("two_people").manifest, split=True, name="two_people", problem=lambda _: "", parent=window
    ),
    ErrorDialog: lambda window, _session, _folder: ErrorDialog("No.", "Do.", "Traceback", window),
    FilmDialog: lambda window, _session, _folder: FilmDialog("walk", "baseline", ("cam01",), 2.0, 30.0, window),
    FloorDialog: lambda window, session, _folder: FloorDialog(session, "two_people", window),
    ImageDialog: lambda window, _session, _folder: _image_dialog(window),
    ImportDialog: lambda window, session, folder: ImportDialog(
        session, [folder / f"cam0{i}.mp4" for i in (1, 2)], window
    ),
    ImportRigDialog: lambda window, _session, _folder: ImportRigDialog(resource("sample", "Calib.qca.txt"), window),
    JobDetails: lambda window, _session, folder: JobDetails(_tracked(folder), window),
    NewSessionDialog: lambda window, _session, folder: NewSessionDialog(folder / "sessions", window),
    GuideDialog: lambda window, _session, _folder: GuideDialog(PAGES, window),
    PictureDialog: lambda window, _session, _folder: PictureDialog((900, 600), window),
    QuestionDialog: lambda window, _session, _folder: QuestionDialog("Well?", "Either way.", ("No", "Yes"), window),
    RenameDialog: lambda window, _session, _folder: RenameDialog("take", "before", lambda _: "", window),
    ReplaceDialog: lambda window, _session, _folder: ReplaceDialog("All of it.", "Replace", window),
    ShortcutsDialog: lambda window, _session, _folder: ShortcutsDialog(window.registry, PAGES, window),
    TermsDialog: lambda window, _session, folder: _terms_dialog(window, folder),
}
"""How to make each dialog, ready to be accepted."""


def _subclasses(kind: type[Dialog]) -> set[type[Dialog]]:
    found = set(kind.__subclasses__())
    return found.union(*(_subclasses(sub) for sub in found)) if found else found


def test_every_dialog_is_tested_for_enter() -> None:
    for module in pkgutil.walk_packages(studio.__path__, "studio."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    assert _subclasses(Dialog) == set(DIALOGS)


@pytest.mark.slow
@pytest.mark.parametrize("kind", DIALOGS, ids=lambda kind: kind.__name__)
def test_enter_accepts(kind: type[Dialog], window: MainWindow, qtbot, sample_session: Session, tmp_path: Path) -> None:
    window.open_path(sample_session.root)
    dialog = DIALOGS[kind](window, sample_session, tmp_path)
    results: list[int] = []
    dialog.finished.connect(results.append)
    dialog.open()
    qtbot.waitUntil(lambda: QApplication.focusWidget() is not None and dialog.isAncestorOf(QApplication.focusWidget()))
    primary = dialog.primary
    assert primary is not None
    assert primary.isDefault()
    if kind is FloorDialog:  # nothing to accept before the points are clicked
        assert not primary.isEnabled()
        dialog.reject()
        return
    qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Return)
    assert results == [Dialog.DialogCode.Accepted]
