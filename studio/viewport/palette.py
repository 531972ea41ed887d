"""Colours of the theme for the 3D view: RGBA arrays in 0..1."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from studio.theme import Theme

RGBA = NDArray[np.float32]
_LIGHTER = 0.35


@dataclass(frozen=True, kw_only=True, eq=False)
class Palette:
    """Colours of a scene.

    Attributes:
        background: (4,) background.
        persons: (K, 4) people, repeated cyclically.
        ghost: (4,) compared result.
        camera: (4,) frusta of cameras with unknown reliability.
        grid: (4,) floor line every metre.
        grid_major: (4,) floor line every fifth metre.
        floor: (4,) centre of the floor, which fades to the background.
        shadow: (4,) darkest shadow on the floor.
        axes: (3, 4) x, y and z axes.
        volume: (4,) capture volume.
        levels: (3, 4) good, fair, poor.
        sides: (3, 4) left side, right side and centre line of a person.
        text: (4,) labels.
        label_background: (4,) background of labels.
        muted: (4,) metre marks and camera names.
    """

    background: RGBA
    persons: RGBA
    ghost: RGBA
    camera: RGBA
    grid: RGBA
    grid_major: RGBA
    floor: RGBA
    shadow: RGBA
    axes: RGBA
    volume: RGBA
    levels: RGBA
    sides: RGBA
    text: RGBA
    label_background: RGBA
    muted: RGBA

    def person(self, column: int) -> RGBA:
        """Return the colour (4,) of the person in a column of the result."""
        return np.asarray(self.persons[column % len(self.persons)])

    def body(self, column: int) -> RGBA:
        """Return the colour (4,) of that person's body, lightened in the light theme, whose colours are dark."""
        return np.asarray(self._bodies[column % len(self._bodies)])

    @functools.cached_property
    def _bodies(self) -> RGBA:
        share = _LIGHTER * float(self.background[:3].mean())
        return np.concatenate([self.persons[:, :3] + share * (1 - self.persons[:, :3]), self.persons[:, 3:]], 1)


def palette(theme: Theme) -> Palette:
    """Return the colours of a theme."""
    return Palette(
        background=rgba(theme.viewport),
        persons=_table(theme.persons),
        ghost=rgba(theme.muted, 0.85),
        camera=rgba(theme.muted, 0.9),
        grid=rgba(theme.grid),
        grid_major=rgba(theme.grid_major),
        floor=rgba(theme.floor),
        shadow=rgba(theme.shadow, theme.shadow_opacity),
        axes=_table((theme.axis_x, theme.axis_y, theme.axis_z)),
        volume=rgba(theme.accent, 0.55),
        levels=_table((theme.good, theme.warn, theme.bad)),
        sides=_table((*side_colours(theme), theme.muted)),
        text=rgba(theme.text),
        label_background=rgba(theme.panel, 0.86),
        muted=rgba(theme.muted),
    )


def side_colours(theme: Theme) -> tuple[str, str]:
    """Return the colours of the left and the right side of a person."""
    return theme.persons[1], theme.persons[0]


def rgba(colour: str, alpha: float = 1.0) -> RGBA:
    """Convert a `#rrggbb` token to RGBA (4,)."""
    value = int(colour.removeprefix("#"), 16)
    return np.array([value >> 16, value >> 8 & 255, value & 255, 255 * alpha], np.float32) / np.float32(255)


def _table(colours: Sequence[str]) -> RGBA:
    return np.stack([rgba(c) for c in colours])
