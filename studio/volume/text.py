"""Text and fields of the capture volume, without widgets."""

from __future__ import annotations

from dataclasses import dataclass, replace

from core.session.volume import ActiveVolume
from core.types import VolumeSettings

_ORIGIN = {
    "set": "Set manually; used by the next training.",
    "people": "Derived from the rig and the people in the baselines.",
    "rig": "Derived from the rig alone, as there is no baseline yet.",
}
_LOW_SEEN_SHARE = 0.35
"""Fraction seen by two cameras below which a volume is probably misplaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """Editable number of the capture volume.

    Attributes:
        name: Short name.
        caption: Text above the number.
        unit: Unit after the number.
        low: Minimum.
        high: Maximum.
        step: Step of the arrow buttons.
        decimals: Number of decimals.
        tip: Tooltip.
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
    _metres("size_x", "Size x", "Size along the world x axis (red)", 0.5, 100.0),
    _metres("size_y", "Size y", "Size along the world y axis (green)", 0.5, 100.0),
    _metres("height", "Height", "Distance from bottom to top", 1.0, 100.0),
    _metres("x", "Centre x", "Centre on the floor, along x"),
    _metres("y", "Centre y", "Centre on the floor, along y"),
    _metres("bottom", "Bottom", "Height of the bottom above the floor; slightly below the floor includes the feet"),
    Field(
        name="spacing",
        caption="Voxel spacing",
        unit="cm",
        low=1.0,
        high=100.0,
        step=1.0,
        decimals=1,
        tip="Smaller voxels locate people more precisely, but need more time and memory",
    ),
    Field(
        name="side",
        caption="Hips from sides",
        unit="%",
        low=0.0,
        high=49.0,
        step=1.0,
        decimals=0,
        tip="Minimum distance of synthetic training people from the sides, as a share of the edge length",
    ),
    Field(
        name="lowest",
        caption="Hips above bottom",
        unit="cm",
        low=0.0,
        high=1000.0,
        step=5.0,
        decimals=0,
        tip="Minimum height of synthetic people's hips above the bottom",
    ),
    Field(
        name="highest",
        caption="Hips below top",
        unit="cm",
        low=0.0,
        high=1000.0,
        step=5.0,
        decimals=0,
        tip="Minimum distance of synthetic people's hips below the top",
    ),
)
"""Three per row; the voxel spacing has its own row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeText:
    """Description of a capture volume.

    Attributes:
        size: Size in metres.
        voxels: Number of voxels and their spacing.
        spacing: Origin of the voxel spacing.
        hips: Height range of synthetic people's hips.
        origin: Origin of the volume.
        problems: (level, message, remedy) of each problem.
        values: Value of every field in its unit.
    """

    size: str
    voxels: str
    spacing: str
    hips: str
    origin: str
    problems: tuple[tuple[str, str, str], ...]
    values: dict[str, float]


def describe_volume(used: ActiveVolume) -> VolumeText:
    """Describe a capture volume."""
    volume, chosen = used.volume, used.chosen
    low, high = chosen.synthetic.corners_mm(volume)
    problems = []
    if used.other_rig:
        problems.append(("warning", "It was set for another calibration.", "Check it in 3D, or reset it."))
    if used.seen_share == 0:
        problems.append(("error", "No two cameras see any of it.", "Move it into the cameras' view, or reset it."))
    elif used.seen_share < _LOW_SEEN_SHARE:
        seen = f"Two or more cameras see only {100 * used.seen_share:.0f} % of it."
        problems.append(("warning", seen, "Make it smaller."))
    spacing_cm = float(volume.spacing_mm.mean()) / 10
    preset_spacing = f"{used.spacing_mm / 10:g} cm"
    return VolumeText(
        size=" × ".join(f"{edge / 1000:.2f}" for edge in volume.size_mm) + " m",
        voxels=f"{' × '.join(map(str, volume.voxels))} voxels of {spacing_cm:.1f} cm",
        spacing="from the training preset" if chosen.spacing_mm is None else f"training preset: {preset_spacing}",
        hips=f"Hips of synthetic people: {low[2] / 1000:.2f} to {high[2] / 1000:.2f} m above the floor.",
        origin=_ORIGIN[used.origin],
        problems=tuple(problems),
        values=_values(used),
    )


def with_field(chosen: VolumeSettings, name: str, value: float) -> VolumeSettings:
    """Return the volume with one field changed; all other values keep their full precision.

    Raises:
        CoreError: The result is invalid.
    """
    x, y, z = chosen.centre_mm
    width, depth, height = chosen.size_mm
    match name:
        case "size_x":
            return replace(chosen, size_mm=(1000 * value, depth, height))
        case "size_y":
            return replace(chosen, size_mm=(width, 1000 * value, height))
        case "height":  # the bottom stays where it is
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
