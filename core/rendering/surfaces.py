"""Surfaces to draw: meshes of bodies, and skeletons as capsules.

Legend: V vertex, F face, P person, N capsule.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from core.types.arrays import F32, F64, I64

_AROUND, _CAP_RINGS = 12, 3


class Surface(NamedTuple):
    """Coloured mesh in world coordinates.

    Attributes:
        vertices_mm: (V, 3).
        normals: (V, 3) unit vectors.
        faces: (F, 3) vertex indices, counter-clockwise seen from outside.
        colours: (V, 3) sRGB in 0..1.
    """

    vertices_mm: F32
    normals: F32
    faces: I64
    colours: F32


def join(surfaces: Sequence[Surface]) -> Surface:
    """Return several surfaces merged into one."""
    if not surfaces:
        nothing = np.zeros((0, 3), np.float32)
        return Surface(nothing, nothing, np.zeros((0, 3), np.int64), nothing)
    first = np.cumsum([0, *(len(surface.vertices_mm) for surface in surfaces)])
    return Surface(
        np.concatenate([surface.vertices_mm for surface in surfaces]),
        np.concatenate([surface.normals for surface in surfaces]),
        np.concatenate([surface.faces + start for surface, start in zip(surfaces, first, strict=False)]),
        np.concatenate([surface.colours for surface in surfaces]),
    )


def body_surface(vertices_mm: F32, faces: I64, colour: F32) -> Surface:
    """Return the surface of a body.

    Args:
        vertices_mm: (V, 3) posed vertices.
        faces: (F, 3) vertex indices.
        colour: (3,) sRGB in 0..1.
    """
    vertices = np.asarray(vertices_mm, np.float32)
    return Surface(vertices, vertex_normals(vertices, faces), faces, np.broadcast_to(colour, vertices.shape))


def vertex_normals(vertices_mm: F32, faces: I64) -> F32:
    """Return the unit normals (V, 3): area-weighted means of the normals of adjacent faces."""
    a, b, c = (np.take(vertices_mm.astype(float).T, faces[:, k], axis=1) for k in range(3))
    (ux, uy, uz), (vx, vy, vz) = b - a, c - a
    across = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
    corners = faces.T.ravel()
    x, y, z = (np.bincount(corners, np.tile(side, 3), len(vertices_mm)) for side in across)
    length = np.maximum(np.sqrt(x * x + y * y + z * z), 1e-9)
    return np.stack([x / length, y / length, z / length], axis=1).astype(np.float32)


def capsule_surface(start_mm: F64, end_mm: F64, radius_mm: F64, colours: F32) -> Surface:
    """Return capsules, omitting those with a NaN end; a capsule of length zero is a sphere.

    Args:
        start_mm: (N, 3).
        end_mm: (N, 3).
        radius_mm: (N,), or (N, 2) for starts and ends.
        colours: (N, 3) sRGB in 0..1.
    """
    known = np.asarray(np.isfinite(start_mm).all(-1) & np.isfinite(end_mm).all(-1))
    start, end = np.asarray(start_mm, float)[known], np.asarray(end_mm, float)[known]
    radius = np.broadcast_to(np.asarray(radius_mm, float).reshape(len(known), -1), (len(known), 2))[known]
    colour = np.asarray(colours, np.float32)[known]
    place, last, faces = _capsule()
    along = end - start
    length = np.linalg.norm(along, axis=1, keepdims=True)
    z = np.where(length > 1e-6, along / np.maximum(length, 1e-6), [0.0, 0.0, 1.0])
    # Any direction not parallel to the axis gives the other two axes.
    x = np.cross(z, np.eye(3)[np.abs(z).argmin(1)])
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    axes = np.stack([x, np.cross(z, x), z], axis=1)  # (N, axis, 3)
    normals = place @ axes
    vertices = np.where(last[:, None], end[:, None], start[:, None]) + radius[:, last.astype(int), None] * normals
    count = len(place)
    offsets = count * np.arange(len(start))
    return Surface(
        vertices.reshape(-1, 3).astype(np.float32),
        normals.reshape(-1, 3).astype(np.float32),
        (faces + offsets[:, None, None]).reshape(-1, 3),
        np.repeat(colour, count, axis=0),
    )


@functools.cache
def _capsule() -> tuple[F64, np.ndarray, I64]:
    """Return directions (V, 3), (V,) bool that is True at the end, and faces of a capsule along z."""
    below = np.linspace(-np.pi / 2, 0, _CAP_RINGS + 1)[1:]
    latitudes = np.concatenate([below, -below[::-1]])
    angle = np.arange(_AROUND) * 2 * np.pi / _AROUND
    rings = [
        np.column_stack([np.cos(lat) * np.cos(angle), np.cos(lat) * np.sin(angle), np.full(_AROUND, np.sin(lat))])
        for lat in latitudes
    ]
    place = np.concatenate([[[0, 0, -1.0]], *rings, [[0, 0, 1.0]]])
    last = np.arange(len(place)) > _AROUND * _CAP_RINGS
    here, there = np.arange(_AROUND), (np.arange(_AROUND) + 1) % _AROUND
    top, first = len(place) - 1, 1 + _AROUND * (len(rings) - 1)
    faces = [np.column_stack([np.zeros_like(here), 1 + there, 1 + here])]
    for ring in range(len(rings) - 1):
        low, high = 1 + _AROUND * ring, 1 + _AROUND * (ring + 1)
        faces.append(np.column_stack([low + here, low + there, high + there]))
        faces.append(np.column_stack([low + here, high + there, high + here]))
    faces.append(np.column_stack([first + here, first + there, np.full_like(here, top)]))
    return place, last, np.concatenate(faces)
