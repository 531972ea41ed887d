"""The capture volume in words, and what each of its fields means. Without widgets."""

from __future__ import annotations

from dataclasses import dataclass, replace

from core.session.volume import ActiveVolume
from core.types import VolumeSettings

_ORIGIN = {
    "set": "Set by you. It counts from the next training on.",
    "people": "Derived from the rig and the people in the baselines.",
    "rig": "Derived from the rig alone: there is no baseline yet.",
}
_SEEN_ODDLY = 0.35
"""A space of which two cameras see less than this is probably meant to be another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One number of the capture volume that can be changed.

    Attributes:
        name: Short name.
        caption: Above the number.
        unit: After it.
        low: Least value.
        high: Largest value.
        step: Of the arrows.
        decimals: Places shown.
        tip: One sentence.
    """

    name: str
    caption: str
    unit: str
    low: float
    high: float
    step: float
    decimals: int
    tip: str


def _metres(name: str, caption: str, tip: str, low: float = -500.0, high: float = 500.0) -> Field:
    return Field(name=name, caption=caption, unit="m", low=low, high=high, step=0.1, decimals=2, tip=tip)


FIELDS = (
    _metres("size_x", "Size along x", "How far it reaches along the world's x axis, the red one", 0.5, 100.0),
    _metres("size_y", "Size along y", "How far it reaches along the world's y axis, the green one", 0.5, 100.0),
    _metres("height", "Height", "From its bottom to its top", 1.0, 100.0),
    _metres("x", "Middle x", "Where its middle is on the floor"),
    _metres("y", "Middle y", "Where its middle is on the floor"),
    _metres("bottom", "Bottom", "Height of its bottom above the floor; a little below it loses no feet"),
    Field(
        name="spacing",
        caption="Voxels apart",
        unit="cm",
        low=1.0,
        high=100.0,
        step=1.0,
        decimals=1,
        tip="Closer voxels find people more exactly, and cost time and memory",
    ),
    Field(
        name="side",
        caption="Hips from sides",
        unit="%",
        low=0.0,
        high=49.0,
        step=1.0,
        decimals=0,
        tip="Synthetic people of the training stand this share of an edge inside the space's sides",
    ),
    Field(
        name="lowest",
        caption="Hips from bottom",
        unit="cm",
        low=0.0,
        high=1000.0,
        step=5.0,
        decimals=0,
        tip="Synthetic people's hips are this far above the space's bottom, at least",
    ),
    Field(
        name="highest",
        caption="Hips from top",
        unit="cm",
        low=0.0,
        high=1000.0,
        step=5.0,
        decimals=0,
        tip="Synthetic people's hips are this far below the space's top, at least",
    ),
)
"""Three a row; the distance of voxels has a row of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeWords:
    """A capture volume, ready to show.

    Attributes:
        size: In metres.
        voxels: How many, and how far apart.
        spacing: Who decides how far apart.
        hips: Where synthetic people may be.
        origin: Who decided on it.
        doubts: (level, sentence, remedy) of what is odd about it.
        values: Of every field, in its unit.
    """

    size: str
    voxels: str
    spacing: str
    hips: str
    origin: str
    doubts: tuple[tuple[str, str, str], ...]
    values: dict[str, float]


def volume_words(used: ActiveVolume) -> VolumeWords:
    """A capture volume in words."""
    volume, chosen = used.volume, used.chosen
    low, high = chosen.synthetic.corners_mm(volume)
    doubts = []
    if used.other_rig:
        doubts.append(("warning", "It was set for another calibration.", "Look at it in 3D, or reset it."))
    if used.seen_share == 0:
        doubts.append(("error", "No two cameras see any of it.", "Move it to where the cameras look, or reset it."))
    elif used.seen_share < _SEEN_ODDLY:
        doubts.append(("warning", f"Two cameras or more see only {used.seen_share:.0%} of it.", "Make it smaller."))
    spacing_cm = float(volume.spacing_mm.mean()) / 10
    wanted = f"{used.spacing_mm / 10:g} cm"
    return VolumeWords(
        size=" × ".join(f"{edge / 1000:.2f}" for edge in volume.size_mm) + " m",
        voxels=f"{' × '.join(map(str, volume.voxels))} voxels, {spacing_cm:.1f} cm apart",
        spacing="as the training wants them" if chosen.spacing_mm is None else f"instead of the training's {wanted}",
        hips=f"Synthetic people's hips: {low[2] / 1000:.2f} to {high[2] / 1000:.2f} m above the floor.",
        origin=_ORIGIN[used.origin],
        doubts=tuple(doubts),
        values=_values(used),
    )


def changed(chosen: VolumeSettings, name: str, value: float) -> VolumeSettings:
    """The space with one field changed; everything else stays as exact as it was.

    Raises:
        CoreError: It makes no sense that way.
    """
    x, y, z = chosen.centre_mm
    width, depth, height = chosen.size_mm
    match name:
        case "size_x":
            return replace(chosen, size_mm=(1000 * value, depth, height))
        case "size_y":
            return replace(chosen, size_mm=(width, 1000 * value, height))
        case "height":  # a higher room grows at its top: the floor stays where it is
            bottom = z - height / 2
            return replace(chosen, size_mm=(width, depth, 1000 * value), centre_mm=(x, y, bottom + 500 * value))
        case "x":
            return replace(chosen, centre_mm=(1000 * value, y, z))
        case "y":
            return replace(chosen, centre_mm=(x, 1000 * value, z))
        case "bottom":
            return replace(chosen, centre_mm=(x, y, 1000 * value + height / 2))
        case "spacing":
            return replace(chosen, spacing_mm=10 * value)
        case "side":
            return replace(chosen, synthetic=replace(chosen.synthetic, side_share=value / 100))
        case "lowest":
            return replace(chosen, synthetic=replace(chosen.synthetic, lowest_mm=10 * value))
        case "highest":
            return replace(chosen, synthetic=replace(chosen.synthetic, highest_mm=10 * value))
    raise ValueError(name)


def _values(used: ActiveVolume) -> dict[str, float]:
    chosen = used.chosen
    x, y, z = chosen.centre_mm
    width, depth, height = chosen.size_mm
    return {
        "size_x": width / 1000,
        "size_y": depth / 1000,
        "height": height / 1000,
        "x": x / 1000,
        "y": y / 1000,
        "bottom": (z - height / 2) / 1000,
        "spacing": (chosen.spacing_mm or used.spacing_mm) / 10,
        "side": 100 * chosen.synthetic.side_share,
        "lowest": chosen.synthetic.lowest_mm / 10,
        "highest": chosen.synthetic.highest_mm / 10,
    }
