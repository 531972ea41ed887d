"""The theme's colours as the 3D view needs them: arrays of RGBA in 0..1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from studio.theme import Theme
from studio.viewport.layers import RGBA


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Palette:
    """Colours of one scene.

    Attributes:
        background: (4,) behind everything.
        persons: (K, 4), used in turn.
        ghost: (4,) of a result shown for comparison.
        camera: (4,) frusta.
        grid: (4,) every metre.
        grid_major: (4,) every fifth metre.
        axes: (3, 4) x, y, z.
        space: (4,) capture volume.
        verdict: (3, 4) good, odd, bad.
        text: (4,) labels.
        plate: (4,) behind labels.
        quiet: (4,) metre marks and camera names.
    """

    background: RGBA
    persons: RGBA
    ghost: RGBA
    camera: RGBA
    grid: RGBA
    grid_major: RGBA
    axes: RGBA
    volume: RGBA
    verdict: RGBA
    text: RGBA
    plate: RGBA
    quiet: RGBA

    def person(self, column: int) -> RGBA:
        """(4,) colour of the person in that column of a result."""
        return np.asarray(self.persons[column % len(self.persons)])


def palette(theme: Theme) -> Palette:
    """The colours of a theme."""
    return Palette(
        background=rgba(theme.viewport),
        persons=_table(theme.persons),
        ghost=rgba(theme.muted, 0.85),
        camera=rgba(theme.muted, 0.9),
        grid=rgba(theme.grid),
        grid_major=rgba(theme.grid_major),
        axes=_table((theme.axis_x, theme.axis_y, theme.axis_z)),
        volume=rgba(theme.accent, 0.55),
        verdict=_table((theme.good, theme.warn, theme.bad)),
        text=rgba(theme.text),
        plate=rgba(theme.panel, 0.86),
        quiet=rgba(theme.muted),
    )


def rgba(colour: str, alpha: float = 1.0) -> RGBA:
    """(4,) of a `#rrggbb` token."""
    value = int(colour.removeprefix("#"), 16)
    return np.array([value >> 16, value >> 8 & 255, value & 255, 255 * alpha], np.float32) / np.float32(255)


def _table(colours: Sequence[str]) -> RGBA:
    return np.stack([rgba(c) for c in colours])
