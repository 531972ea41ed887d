"""Clothes of people: garments as fields on the body surface, cloth thickness, and colours per pixel.

A garment covers the surface where its field is positive. Fields are linear between vertices, so that hems are smooth.
Positions on the body are those of the embedded body at rest in mm; see `core.body.models.free`.

Legend: P person, V vertex, N pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.body.model import BodyModel
from core.rendering.surfaces import vertex_normals
from core.synthetic.rendering.room import RGB
from core.types.arrays import F32, F64


@dataclass(frozen=True, slots=True, kw_only=True)
class Outfit:
    """Colours (sRGB) and cut of a person's clothes.

    Attributes:
        skin: Colour of the skin.
        hair: Colour of the hair.
        shirt: Colour of the shirt.
        stripe: Second colour of the shirt; equal to `shirt` for a plain one.
        trousers: Colour of the trousers.
        shoes: Colour of the shoes.
        sleeve_mm: Distance of the sleeve's end from the body's middle along the arm; the elbow is at 440, the wrist at
            670.
        leg_mm: Height of the trousers' end relative to the pelvis; the knee is at -400, the ankle at -830.
        long_hair: True for hair down to the shoulders.
    """

    skin: RGB
    hair: RGB
    shirt: RGB
    stripe: RGB
    trousers: RGB
    shoes: RGB
    sleeve_mm: float = 330.0
    leg_mm: float = -815.0
    long_hair: bool = False


OUTFITS = (
    Outfit(
        skin=(214, 164, 134),
        hair=(62, 42, 30),
        shirt=(150, 62, 54),
        stripe=(150, 62, 54),
        trousers=(44, 56, 84),
        shoes=(225, 222, 214),
    ),
    Outfit(
        skin=(141, 94, 66),
        hair=(24, 20, 19),
        shirt=(222, 220, 210),
        stripe=(58, 84, 112),
        trousers=(86, 78, 66),
        shoes=(52, 40, 34),
        sleeve_mm=650.0,
        long_hair=True,
    ),
)
"""Outfits of the demo people."""

_LIPS: F32 = np.array([0.78, 0.5, 0.5], np.float32)  # relative to the skin
SOLE_MM = 16.0
"""Thickness of shoe soles."""


SURFACE = ("shirt", "trousers", "shoes", "hair", "face", "lips", "cavity", "x", "y", "z")
"""Number of surface values per vertex, which are interpolated to pixels.

Fields of garments; shade of the face, 1 for skin and less for eyes and brows; share of the colour of lips; share of the
light that reaches hollows; place at rest, mm.
"""


def dress(model: BodyModel, rest_mm: F32, outfit: Outfit, seed: int) -> tuple[F32, F32, F32]:
    """Dress a body.

    Args:
        model: The embedded body model.
        rest_mm: (V, 3) shaped body at rest.
        outfit: Clothes.
        seed: Seed of the folds.

    Returns:
        Vertices at rest including clothes and hair (V, 3), their normals (V, 3), and surface values (10, V);
        see `SURFACE`.
    """
    place = model.template_mm.astype(float)
    surface = _surface(model, place, outfit)
    shirt, trousers, shoes, hair = surface[:4]
    normals = vertex_normals(rest_mm, model.faces)
    folds = _folds(place, np.random.default_rng(seed))
    out = rest_mm.astype(float).copy()
    for field, thickness, depth in (
        (trousers, np.where(place[:, 1] < -350, 17.0, 10.0), 5.0),
        (shirt, np.where(np.abs(place[:, 0]) < 190, 13.0, 15.0), 5.0),
        (hair, np.full(len(place), 24.0 if outfit.long_hair else 13.0), 4.0),
    ):
        amount = np.clip(field / 25.0, 0, 1)  # full thickness at this distance from the hem
        out += (amount * (thickness + depth * folds))[:, None] * normals
    shoe = np.clip(shoes / 10.0, 0, 1)[:, None]
    smooth = out
    for _ in range(8):  # smooth toes away in shoes
        smooth = smooth + shoe * (_neighbours(model, smooth) - smooth)
    out = smooth + 9.0 * shoe * normals
    sole = np.clip((-878 - place[:, 1]) / 12.0, 0, 1) * shoe[:, 0]
    out[:, 1] += sole * (float(rest_mm[:, 1].min()) - SOLE_MM - out[:, 1])
    dressed = out.astype(np.float32)
    return dressed, vertex_normals(dressed, model.faces), surface


def albedo(outfit: Outfit, columns: F32) -> F32:
    """Return the linear colours (N, 3) in [0, 1] for surface values (10, N); see `SURFACE`."""
    shirt, trousers, shoes, hair, face, lips, _, x, y, z = columns
    colour = {name: _linear(getattr(outfit, name)) for name in ("skin", "hair", "shirt", "stripe", "trousers", "shoes")}
    lip = colour["skin"] * _LIPS
    out = np.asarray((colour["skin"] + lips[:, None] * (lip - colour["skin"])) * face[:, None])
    some = np.flatnonzero(shoes > 0)
    out[some] = np.where((y[some] < -896)[:, None], np.float32(0.25), colour["shoes"])
    some = np.flatnonzero(hair > 0)
    out[some] = colour["hair"] * (1 + 0.25 * np.sin(0.5 * x[some] + 0.8 * z[some]))[:, None]
    some = np.flatnonzero((trousers > 0) & (shirt <= 0))
    weave = 1 + 0.06 * np.sin(1.9 * (x[some] + z[some])) * np.sin(1.9 * y[some])
    out[some] = colour["trousers"] * weave[:, None]
    some = np.flatnonzero(shirt > 0)
    # Stripes around trunk and sleeves.
    along = np.where(np.abs(x[some]) > 190, np.abs(x[some]), y[some])
    second = np.floor(along / 34.0) % 2 > 0
    out[some] = np.where(second[:, None], colour["stripe"], colour["shirt"])
    return out


def _surface(model: BodyModel, place: F64, outfit: Outfit) -> F32:
    x, y, z = place.T
    across = np.abs(x)
    weight = {name: model.weights[:, j] for j, name in enumerate(model.joints)}
    limb = (across > 185) & (y > 200)
    neck = (0.42 - weight["neck"] - weight["head"]) * 120
    shirt = np.minimum(np.minimum(neck, np.where(limb, outfit.sleeve_mm - across, 1e3)), np.where(limb, 1e3, y + 95))
    trousers = np.where(limb, -50.0, np.minimum(y - outfit.leg_mm, 20 - y))
    shoes = np.where(limb, -50.0, -808 - y)
    head = weight["head"] + weight["neck"] > 0.5
    ear = (across > 70) & (y < 708) & (z > 12)
    hair = (y - 748 - 1.05 * (z - 128)) * 0.7
    if outfit.long_hair:
        hair = np.maximum(hair, np.where(z < 30, y - 505, -50.0))
    hair = np.where(head & ~ear, hair, -30.0)
    lips, face = np.zeros(len(place)), np.ones(len(place))
    keypoints = dict(zip(model.keypoints, model.keypoint_template_mm, strict=True))
    front = (z > 90) & head
    for side in ("left", "right"):
        eye = keypoints[f"{side}_eye"]
        dx, dy = x - eye[0], y - eye[1]
        face = np.where(front & (np.hypot(dx, 1.6 * dy) < 13), 0.22, face)
        face = np.where(front & (np.abs(dx) < 19) & (np.abs(dy - 21) < 6), 0.3, face)
    mouth = keypoints["nose"][1] - 42
    lips = np.where(front & (across < 24) & (np.abs(y - mouth) < 9), 1.0, lips)
    cavity = _cavity(model, place)
    return np.stack([shirt, trousers, shoes, hair, face, lips, cavity, *place.T]).astype(np.float32)


def _cavity(model: BodyModel, place: F64) -> F64:
    """Return the ambient occlusion (V,) of vertices: the fraction of light that their neighbours do not block."""
    normals = vertex_normals(place.astype(np.float32), model.faces)
    depth = np.zeros(len(place))
    smooth = place
    for _ in range(6):  # increasing neighbourhoods
        smooth = _neighbours(model, smooth)
        depth += ((smooth - place) * normals).sum(-1)
    return np.asarray(np.clip(1 - depth / 90.0, 0.35, 1.1))


def _neighbours(model: BodyModel, values: F64) -> F64:
    """Return the mean (V, 3) over the neighbours of each vertex."""
    a, b = model.faces.ravel(), np.roll(model.faces, 1, 1).ravel()
    count = np.bincount(a, minlength=len(values))[:, None]
    return np.stack([np.bincount(a, values[b, k], len(values)) for k in range(3)], -1) / count


def _folds(place: F64, rng: np.random.Generator) -> F64:
    """Return the relief (V,) of folds in cloth in [-1, 1]: waves of several lengths, mostly across the limbs."""
    total = np.zeros(len(place))
    for length in (130.0, 85.0, 55.0):
        direction = rng.normal(0, 1, 3) * (0.8, 1.6, 0.8)
        direction /= np.linalg.norm(direction)
        total += np.sin(2 * np.pi * (place @ direction) / length + rng.uniform(0, 2 * np.pi))
    return total / 3


def _linear(colour: RGB) -> F32:
    return np.asarray((np.asarray(colour) / 255) ** 2.2, np.float32)
