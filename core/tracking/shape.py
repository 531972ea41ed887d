"""Bone lengths of a person with their uncertainty, to distinguish people.

Letters in shapes: K lengths, `...` any batch of poses.

A bone and its mirror bone are averaged to one length, which makes the shape invariant to swapped sides. Errors of an
estimator are correlated over time and depend on the pose. Measurements are therefore weighted by the time they span,
and a part of the error does not average out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from core.types.arrays import F64
from core.types.skeleton import Skeleton

_SHORTEST_MM = 120.0  # Shorter bones have too much relative noise.
_POPULATION = 0.08  # Relative standard deviation of a length between people.
_POSE = 0.04  # Relative standard deviation of a length between poses; not reduced by averaging.
_NOISE = 0.06  # Relative standard deviation of a single measurement, as a prior.
_LENGTH_ERROR = 0.8  # Error of a length in position errors of a joint: only the coordinate along the bone counts.
_PRIOR = 4.0  # Weight of `_NOISE` in measurements.
_BLOCK_FRAMES = 1000  # Frames per block.
_LASTING_S = 0.13  # Correlation time of the errors of an estimator.
_CAP = 3.0  # Maximum contribution of one length, so that a single confused limb does not decide.
_INDEPENDENT = 0.5  # Effective fraction of independent lengths.


@dataclass(frozen=True, slots=True, eq=False)
class BodyShape:
    """Bone lengths of people.

    Attributes:
        mm: (..., K) lengths in mm, NaN where unknown.
        noise: (..., K) standard deviation of a single measurement, relative to the length.
        count: (..., K) number of independent measurements.
    """

    mm: F64
    noise: F64
    count: F64

    @classmethod
    def single(cls, mm: F64, error_mm: F64) -> BodyShape:
        """Return the shapes of single poses from lengths (..., K) and the errors (...) of their joints."""
        noise = np.maximum(_NOISE, _LENGTH_ERROR * error_mm[..., None] / mm)
        return cls(mm, np.where(np.isfinite(mm), noise, _NOISE), np.isfinite(mm).astype(float))

    @classmethod
    def of(cls, mm: F64, time_s: F64) -> BodyShape:
        """Estimate the shape (K,) of one person robustly from lengths (T, K) measured at times (T,)."""
        known = np.isfinite(mm)
        seen = known.any(0)
        middle, spread = np.full(mm.shape[1], np.nan), np.zeros(mm.shape[1])
        if seen.any():
            middle[seen] = np.nanmedian(mm[:, seen], axis=0)
            spread[seen] = 1.4826 * np.nanmedian(np.abs(mm[:, seen] / middle[seen] - 1), axis=0)
        weight = np.minimum(np.diff(time_s, prepend=-np.inf) / _LASTING_S, 1.0)
        count = (known * weight[:, None]).sum(0)
        return cls(middle, np.sqrt((_PRIOR * _NOISE**2 + count * spread**2) / (_PRIOR + count)), count)

    @classmethod
    def stack(cls, shapes: Sequence[BodyShape]) -> BodyShape:
        """Stack shapes along a new first axis."""
        return cls(*(np.stack([getattr(s, name) for s in shapes]) for name in ("mm", "noise", "count")))

    def __getitem__(self, index: Any) -> BodyShape:
        """Return the shapes at indices of the leading axes."""
        return BodyShape(self.mm[index], self.noise[index], self.count[index])

    def pooled(self) -> BodyShape:
        """Average the shapes over the first axis, weighted by their numbers of measurements."""
        count = self.count.sum(0)
        with np.errstate(invalid="ignore"):
            mm = np.where(self.count > 0, self.count * self.mm, 0.0).sum(0) / count
            noise = np.sqrt((self.count * self.noise**2).sum(0) / count)
        return BodyShape(mm, noise, count)


class ShapeEstimate:
    """Running estimate of the shape of one person.

    Args:
        lengths_mm: (K,) lengths of the first measurement, NaN where unknown.
    """

    def __init__(self, lengths_mm: F64) -> None:
        known = np.isfinite(lengths_mm)
        self._mm, self._count, self._square = lengths_mm.copy(), known.astype(float), np.zeros(len(lengths_mm))

    def add(self, lengths_mm: F64, elapsed_s: float) -> None:
        """Add lengths (K,) measured some time after the previous ones."""
        known, first = np.isfinite(lengths_mm), np.isnan(self._mm)
        self._mm = np.where(first, lengths_mm, self._mm)
        weight = known * min(elapsed_s / _LASTING_S, 1.0)
        self._count = self._count + np.where(first, known, weight)
        noise = self.now().noise
        # Bounds the influence of a swapped limb.
        change = np.clip(np.where(known, lengths_mm / self._mm - 1, 0.0), -3 * noise, 3 * noise)
        self._square = self._square + weight * change**2
        self._mm = self._mm * (1 + change * weight / np.maximum(self._count, 1.0))

    def now(self) -> BodyShape:
        """Return the current estimate."""
        noise = np.sqrt((_PRIOR * _NOISE**2 + self._square) / (_PRIOR + self._count))
        return BodyShape(self._mm, noise, self._count)


def body_lengths_mm(xyz_mm: F64, skeleton: Skeleton) -> F64:
    """Return the bone lengths (..., K) of poses (..., J, 3), averaged over mirror pairs; NaN where unknown."""
    if xyz_mm.ndim > 2 and len(xyz_mm) > _BLOCK_FRAMES:
        blocks = (xyz_mm[start : start + _BLOCK_FRAMES] for start in range(0, len(xyz_mm), _BLOCK_FRAMES))
        return np.concatenate([body_lengths_mm(block, skeleton) for block in blocks])
    lengths = skeleton.bone_lengths(xyz_mm)
    first, second = _mirrored_bones(skeleton)
    a, b = lengths[..., first], lengths[..., second]
    return np.where(np.isfinite(a), np.where(np.isfinite(b), (a + b) / 2, a), b)


def same_person(a: BodyShape, b: BodyShape) -> F64:
    """Return the log likelihood ratio (...) of two shapes: one person versus two people of the population."""
    middle = (a.mm + b.mm) / 2
    known = np.isfinite(middle) & (middle > _SHORTEST_MM)
    with np.errstate(invalid="ignore", divide="ignore"):
        difference = (a.mm - b.mm) / middle
        same = a.noise**2 / a.count + b.noise**2 / b.count + 2 * _POSE**2
        other = same + 2 * _POPULATION**2
        ratio = 0.5 * (np.log(other / same) - difference**2 * (1 / same - 1 / other))
    return np.asarray(_INDEPENDENT * np.where(known, np.clip(ratio, -_CAP, _CAP), 0.0).sum(-1))


@lru_cache(maxsize=8)
def _mirrored_bones(skeleton: Skeleton) -> tuple[list[int], list[int]]:
    """Return the indices (K,) of the bones, one per mirror pair, and those of their mirror bones."""
    at = {frozenset(bone): i for i, bone in enumerate(skeleton.bones)}
    other = [at.get(frozenset(skeleton.mirror[end] for end in bone), i) for i, bone in enumerate(skeleton.bones)]
    first = [i for i, k in enumerate(other) if i <= k]
    return first, [other[i] for i in first]
