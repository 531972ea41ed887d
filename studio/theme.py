"""Colours, spacing and fonts of the window.

All colours are tokens of the current `Theme`. `apply_theme` converts them to a palette and an application style sheet
(`resources/theme/studio.qss`, in which `@name` stands for a token). Custom-painted widgets (plots, viewport) use
`current_theme()` and connect to `theme_changed`.
"""

from __future__ import annotations

import dataclasses
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QColor, QFont, QFontDatabase, QPalette
from PySide6.QtWidgets import QApplication

from core import NAME
from core.files import read_text, resource
from core.rendering.colours import VIEW_COLOURS

ThemeName = Literal["dark", "light"]

GRID_PX = 8
"""Spacing unit in px; distances are multiples of it, or half of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Theme:
    """Colour tokens of one theme, as `#rrggbb`.

    Attributes:
        name: "dark" or "light".
        window: Window background.
        panel: Cards, bars and drawers.
        raised: Fields, buttons and table headers on a panel.
        hover: Raised elements under the pointer.
        border: Hairlines between surfaces.
        text: Primary text.
        muted: Secondary text.
        faint: Disabled text, placeholders and plot axes.
        accent: Primary buttons and selection.
        accent_hover: Accent under the pointer.
        accent_soft: Background of a selected row or chip, under `text`.
        on_accent: Text on the accent.
        good: Success.
        warn: Warning.
        bad: Error or failure.
        on_bad: Text on `bad`.
        viewport: Background of 3D view and video.
        grid: Minor grid lines of floor and plots.
        grid_major: Major grid lines of the floor.
        floor: Middle of the floor of the 3D view, which fades to its background.
        shadow: Shadows of people on the floor.
        shadow_opacity: Opacity of the darkest shadow.
        axis_x: World x axis.
        axis_y: World y axis.
        axis_z: World z axis.
        persons: Colours of people, used cyclically.
        series: Colours of curves, used cyclically.
        on_image: Fine lines over a photograph, equal in all themes.
        on_image_strong: Emphasised lines over a photograph.
        on_image_origin: Origin over a photograph.
        on_image_x: World x axis over a photograph.
        on_image_y: World y axis over a photograph.
    """

    name: ThemeName
    window: str
    panel: str
    raised: str
    hover: str
    border: str
    text: str
    muted: str
    faint: str
    accent: str
    accent_hover: str
    accent_soft: str
    on_accent: str
    good: str
    warn: str
    bad: str
    on_bad: str
    viewport: str
    grid: str
    grid_major: str
    floor: str
    shadow: str
    shadow_opacity: float
    axis_x: str
    axis_y: str
    axis_z: str
    persons: tuple[str, ...]
    series: tuple[str, ...]
    on_image: str = "#6ea0ff"
    on_image_strong: str = "#ffbe4d"
    on_image_origin: str = "#ffffff"
    on_image_x: str = "#ff7d7a"
    on_image_y: str = "#6fd483"

    def person(self, index: int) -> str:
        """Return the colour of the person in column `index`; colours repeat."""
        return self.persons[index % len(self.persons)]


DARK = Theme(
    name="dark",
    window="#14161a",
    panel="#1b1e24",
    raised="#252932",
    hover="#2e333e",
    border="#2b303a",
    text="#e8eaef",
    muted="#a6adba",
    faint="#8a92a1",
    accent="#5b8cff",
    accent_hover="#7aa2ff",
    accent_soft="#243354",
    on_accent="#0c1220",
    good="#4cc38a",
    warn="#e5a83b",
    bad="#f0716f",
    on_bad="#1a0808",
    viewport=VIEW_COLOURS["dark"].background,
    grid="#262b33",
    grid_major="#3a414d",
    floor="#272c35",
    shadow="#050608",
    shadow_opacity=0.85,
    axis_x="#e56c6a",
    axis_y="#58b368",
    axis_z="#5b8cff",
    persons=VIEW_COLOURS["dark"].persons,
    series=("#5b8cff", "#ffb347", "#4cc38a", "#b388ff", "#ff7aa8", "#4cc9f0"),
)
LIGHT = Theme(
    name="light",
    window="#f3f4f7",
    panel="#ffffff",
    raised="#eef0f4",
    hover="#e3e6ec",
    border="#dde1e8",
    text="#1a1d24",
    muted="#535b6a",
    faint="#646c7b",
    accent="#2f62e0",
    accent_hover="#2452c4",
    accent_soft="#dfe8ff",
    on_accent="#ffffff",
    good="#147747",
    warn="#925e00",
    bad="#c43a38",
    on_bad="#ffffff",
    viewport=VIEW_COLOURS["light"].background,
    grid="#d3d8e0",
    grid_major="#b5bcc9",
    floor="#ffffff",
    shadow="#3b4456",
    shadow_opacity=0.5,
    axis_x="#c43a38",
    axis_y="#237a39",
    axis_z="#2f62e0",
    persons=VIEW_COLOURS["light"].persons,
    series=("#2f62e0", "#ac5400", "#147747", "#7048c8", "#c2255c", "#0077b6"),
)
THEMES: dict[ThemeName, Theme] = {"dark": DARK, "light": LIGHT}


class _Hub(QObject):
    changed = Signal(Theme)


_hub = _Hub()
_current = DARK
_loaded_fonts: set[str] = set()
_icon_folder = tempfile.TemporaryDirectory(prefix=f"{NAME}-icons-")

theme_changed = _hub.changed
"""Emitted with the new `Theme` after it was applied: `theme_changed.connect(slot)`."""


def current_theme() -> Theme:
    """Return the current theme."""
    return _current


def apply_theme(app: QApplication, name: ThemeName) -> None:
    """Apply a theme to the application, and notify custom-painted widgets."""
    global _current
    _current = THEMES[name]
    app.setStyle("Fusion")
    app.setFont(_font())
    app.setPalette(_palette(_current))
    app.setStyleSheet(_style_sheet(_current))
    theme_changed.emit(_current)


def _font() -> QFont:
    for file in sorted(resource("fonts").glob("*.ttf")):
        if str(file) not in _loaded_fonts:
            QFontDatabase.addApplicationFont(str(file))
            _loaded_fonts.add(str(file))
    font = QFont()
    font.setFamilies(["Inter", "Segoe UI", "SF Pro Text", "Noto Sans", "DejaVu Sans"])
    font.setPixelSize(13)
    font.setHintingPreference(QFont.HintingPreference.PreferNoHinting)
    return font


def _palette(theme: Theme) -> QPalette:
    role = QPalette.ColorRole
    colours = {
        role.Window: theme.window,
        role.WindowText: theme.text,
        role.Base: theme.panel,
        role.AlternateBase: theme.raised,
        role.Text: theme.text,
        role.PlaceholderText: theme.faint,
        role.Button: theme.raised,
        role.ButtonText: theme.text,
        role.ToolTipBase: theme.raised,
        role.ToolTipText: theme.text,
        role.Highlight: theme.accent,
        role.HighlightedText: theme.on_accent,
        role.Link: theme.accent,
    }
    palette = QPalette()
    for which, colour in colours.items():
        palette.setColor(which, QColor(colour))
    for which in (role.Text, role.WindowText, role.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, which, QColor(theme.faint))
    return palette


def _style_sheet(theme: Theme) -> str:
    """Return the application style sheet with all tokens replaced."""
    tokens = {f.name: getattr(theme, f.name) for f in dataclasses.fields(theme)}
    sheet = re.sub(r"/\*.*?\*/", "", read_text(resource("theme", "studio.qss")), flags=re.DOTALL)
    sheet = re.sub(r"@icon\(([\w-]+),(\w+)\)", lambda m: f'url("{_icon_file(m[1], tokens[m[2]])}")', sheet)
    return re.sub(r"@(\w+)", lambda m: str(tokens[m[1]]), sheet)


def _icon_file(name: str, colour: str) -> str:
    """Write a tinted copy of an icon, because style sheets accept only files; deleted at exit."""
    path = Path(_icon_folder.name) / f"{name}-{colour.lstrip('#')}.svg"
    if not path.exists():
        path.write_text(tinted_svg(name, colour), encoding="utf-8")
    return path.as_posix()


def tinted_svg(name: str, colour: str) -> str:
    """Return the source of an icon, with `currentColor` replaced."""
    return read_text(resource("icons", f"{name}.svg")).replace("currentColor", colour)
