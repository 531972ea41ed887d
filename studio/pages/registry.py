"""The pages as data, in the order of the work. A new page is one folder and one entry here."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from PySide6.QtWidgets import QWidget

from studio.state.app_state import AppState


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSpec:
    """A page.

    Attributes:
        name: Short name; its action is `page.<name>`.
        title: As shown.
        icon: File in `resources/icons`.
        factory: `package.module:Class`, imported when the page is made; called with the `AppState`.
        keys: What keys do while the page has the focus: (what, keys), for the list of shortcuts.
    """

    name: str
    title: str
    icon: str
    factory: str
    keys: tuple[tuple[str, str], ...] = ()

    def make(self, state: AppState) -> QWidget:
        """The page's widget."""
        module, _, name = self.factory.partition(":")
        widget: QWidget = getattr(importlib.import_module(module), name)(state)
        return widget


PAGES = (
    PageSpec(
        name="calibrate", title="Calibrate", icon="calibrate", factory="studio.pages.calibrate.page:CalibratePage"
    ),
    PageSpec(name="record", title="Record", icon="record", factory="studio.pages.record.page:RecordPage"),
    PageSpec(name="train", title="Train", icon="train", factory="studio.pages.train.page:TrainPage"),
    PageSpec(
        name="view",
        title="View",
        icon="view",
        factory="studio.pages.view.page:ViewPage",
        keys=(
            ("Play or pause", "Volume"),
            ("One frame back or on", "Left  or  Right"),
            ("Ten frames back or on", "Shift+Left  or  Shift+Right"),
            ("To the start or the end", "Home  or  End"),
            ("3D, top, front, side view", "1  2  3  4"),
            ("Show everything", "F"),
            ("Skeletons, trails, names", "S  T  N"),
            ("Cameras, their images", "C  I"),
            ("Floor, capture volume, expected accuracy", "G  B  A"),
            ("Over the videos: 2D detections, floor", "D  H"),
        ),
    ),
    PageSpec(name="export", title="Export", icon="export", factory="studio.pages.export.page:ExportPage"),
)
