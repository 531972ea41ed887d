"""Minimal blend shapes of a take for the pose-dependent surface deformation beyond skinning.

SMPL and its relatives displace vertices at rest by the elements of R - I of all joints, 207 blend shapes or more. Most
of them move together in a take: a few principal components (Jolliffe 2002) are nearly the same, and open everywhere.

Legend: N frame, J joint, V vertex, D pose component of the model, K blend shape.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from core.body.sequence import BodyMotion
from core.export.bodies import strongest_bones
from core.export.exporter import ExportedResult
from core.geometry.so3 import exp
from core.types.arrays import F32, F64

_CLOSE_MM = 0.02  # largest root mean square residual
_MOST_SHAPES = 64
_BLOCK_FRAMES = 2048
_SAMPLES = 40  # poses of a person in which errors are measured
_SEEN_MM = 0.1  # smallest error to report
_RANK = 1e-10  # relative to the largest eigenvalue, below which directions are linearly dependent


@dataclass(frozen=True, slots=True, eq=False)
class Correctives:
    """Blend shapes of all people of a take.

    Attributes:
        shapes_mm: (K, V, 3) displacements at rest.
        mixing: (D, K) weight of a blend shape per unit of a pose component; weights of the take lie within -1 and 1.
        left_mm: Largest distance found between the surface in a file and that of the model.
        skinning_mm: The same without blend shapes.
    """

    shapes_mm: F32
    mixing: F64
    left_mm: float
    skinning_mm: float

    @property
    def names(self) -> list[str]:
        """Names of the blend shapes."""
        return [f"pose_{k + 1:02d}" for k in range(len(self.shapes_mm))]

    def weights(self, rotations_rad: F64) -> F32:
        """Return the weights (N, K) for poses (N, J, 3)."""
        weights = np.empty((len(rotations_rad), len(self.shapes_mm)), np.float32)
        for first in range(0, len(weights), _BLOCK_FRAMES):
            rows = slice(first, first + _BLOCK_FRAMES)
            weights[rows] = _features(rotations_rad[rows]) @ self.mixing
        return weights


@lru_cache(maxsize=1)
def correctives(motion: BodyMotion) -> Correctives:
    """Return the blend shapes for the poses of a take; none for models with skinning only."""
    model = motion.model
    shapes, mixing = np.zeros((0, *model.template_mm.shape), np.float32), np.zeros((9 * (len(model.joints) - 1), 0))
    if model.pose_dirs_mm is not None:
        shapes, mixing = _principal(motion, model.pose_dirs_mm.reshape(len(mixing), -1))
    found = Correctives(shapes, mixing, 0.0, 0.0)
    bones, kept = strongest_bones(model.weights)
    skinned = np.zeros(model.weights.shape, np.float32)
    np.put_along_axis(skinned, bones, 0, 1)
    np.add.at(skinned, (np.arange(len(bones))[:, None], bones), kept)
    if not len(shapes) and np.allclose(skinned, model.weights, atol=1e-6):
        return found
    return Correctives(shapes, mixing, *_errors_mm(motion, found, skinned))


def surface_notes(result: ExportedResult, title: str) -> list[str]:
    """Return notes on the blend shapes of a skinned mesh and on its residual surface error."""
    found, name = correctives(result.bodies), result.bodies.model.name
    notes = []
    if len(found.names) and found.skinning_mm > _SEEN_MM:
        notes.append(
            f"The surface of '{name}' bodies changes with the pose: {title} has it as {len(found.names)} blend shapes. "
            f"Programs that ignore them are up to {found.skinning_mm:.1f} mm off."
        )
    if found.left_mm > _SEEN_MM:
        notes.append(
            f"Surfaces in {title} are up to {found.left_mm:.1f} mm off those of '{name}'; OBJ and PLY are exact."
        )
    return notes


def _features(rotations_rad: F64) -> F64:
    """Return the pose components (N, D) of poses (N, J, 3)."""
    bent = exp(rotations_rad[:, 1:].astype(np.float64)) - np.eye(3)
    return np.asarray(bent.reshape(len(bent), -1))


def _poses(motion: BodyMotion) -> Iterator[F64]:
    """Yield the rotation vectors (N, J, 3) of all people in the frames in which they are present, in blocks."""
    present, rotations = motion.bodies.present, motion.bodies.rotations_rad
    for person in range(present.shape[1]):
        here = np.flatnonzero(present[:, person])
        for first in range(0, len(here), _BLOCK_FRAMES):
            yield rotations[here[first : first + _BLOCK_FRAMES], person]


def _principal(motion: BodyMotion, dirs_mm: F32) -> tuple[F32, F64]:
    """Return the principal blend shapes and their mixing, given the directions (D, 3 V) of the model.

    With an orthonormal basis Q of the directions, dirs = L Q, displacements are F L Q, so that the components are those
    of the small matrix F L.
    """
    D, n_vertices = len(dirs_mm), dirs_mm.shape[1] // 3
    moments, n = np.zeros((D, D)), 0
    for rotations in _poses(motion):
        features = _features(rotations)
        moments += features.T @ features
        n += len(features)
    values, vectors = np.linalg.eigh((dirs_mm @ dirs_mm.T).astype(np.float64))
    kept = values > _RANK * values.max(initial=0)
    scale = np.sqrt(values[kept])
    to_basis, from_basis = vectors[:, kept] * scale, (vectors[:, kept] / scale).T  # L, and Q = from_basis dirs
    energy, axes = np.linalg.eigh(to_basis.T @ moments @ to_basis)
    energy, axes = np.maximum(energy[::-1], 0), axes[:, ::-1]
    left = np.sqrt(np.maximum(energy.sum() - np.cumsum(energy), 0) / (n * n_vertices))
    enough = np.flatnonzero(left < _CLOSE_MM)
    count = min(int(enough[0]) + 1 if len(enough) else len(energy), _MOST_SHAPES)
    mixing, shapes = to_basis @ axes[:, :count], (axes[:, :count].T @ from_basis).astype(np.float32) @ dirs_mm
    largest = np.max([np.abs(_features(rotations) @ mixing).max(0) for rotations in _poses(motion)], axis=0)
    largest = np.maximum(largest, np.finfo(np.float32).tiny)
    shapes *= largest[:, None].astype(np.float32)
    return shapes.reshape(count, n_vertices, 3), mixing / largest


def _errors_mm(motion: BodyMotion, found: Correctives, skinned: F32) -> tuple[float, float]:
    """Return the largest distances of surfaces in files, with blend shapes and without, in a sample of the poses."""
    model, bodies = motion.model, motion.bodies
    errors = np.zeros(2)
    plain = dataclasses.replace(model, weights=skinned, pose_dirs_mm=None)
    for person in range(len(bodies.person_ids)):
        here = np.flatnonzero(bodies.present[:, person])
        for frame in here[np.unique(np.linspace(0, len(here) - 1, _SAMPLES).astype(int))] if len(here) else ():
            rotations = bodies.rotations_rad[frame, person][None]
            rest = motion.rest.vertices_mm[person][None]
            bones = model.transforms(
                motion.rest.joints_mm[person][None],
                exp(rotations.astype(np.float64)),
                bodies.pelvis_mm[frame, person][None],
            )
            exact = model.skin(rest, bones)[0]
            moved = rest + np.tensordot(found.weights(rotations), found.shapes_mm, 1)
            for k, at_rest in enumerate((moved, rest)):
                errors[k] = max(errors[k], np.linalg.norm(plain.skin(at_rest, bones)[0] - exact, axis=-1).max())
    return float(errors[0]), float(errors[1])
