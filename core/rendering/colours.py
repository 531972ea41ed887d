"""Colours of 3D views, light and dark, for the window and for exported videos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from core.types.arrays import F32

ViewTheme = Literal["dark", "light"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewColours:
    """Colours of a 3D view, `#rrggbb`.

    Attributes:
        background: Background.
        floor: Floor under the people, which fades into the background.
        grid: Grid lines, one every metre.
        panel: Panel without an image.
        text: Text.
        persons: Colours of people, used cyclically.
    """

    background: str
    floor: str
    grid: str
    panel: str
    text: str
    persons: tuple[str, ...]

    def person(self, column: int) -> F32:
        """Return the colour (3,), sRGB in 0..1, of the person in a column of a result."""
        return rgb(self.persons[column % len(self.persons)])


VIEW_COLOURS: dict[ViewTheme, ViewColours] = {
    "dark": ViewColours(
        background="#101216",
        floor="#363c48",
        grid="#525a69",
        panel="#1b1e24",
        text="#e8eaee",
        persons=("#4cc9f0", "#ffb347", "#b388ff", "#7bd88f", "#ff7aa8", "#f2e05c", "#5f9dff", "#e08a5b"),
    ),
    "light": ViewColours(
        background="#eceff4",
        floor="#ffffff",
        grid="#ccd2dc",
        panel="#ffffff",
        text="#1d2129",
        persons=("#0070ac", "#ac5400", "#7048c8", "#237a34", "#c2255c", "#7b6700", "#3b5bdb", "#a0522d"),
    ),
}


def rgb(colour: str) -> F32:
    """Convert a `#rrggbb` token to sRGB (3,) in 0..1."""
    value = int(colour.removeprefix("#"), 16)
    return np.array([value >> 16, value >> 8 & 255, value & 255], np.float32) / np.float32(255)
