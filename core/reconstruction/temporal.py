"""The learned smoother on the people of a whole take, in overlapping stretches.

Legend: T frame, P person, J joint, F frame of a stretch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from core.models.ray_refiner import inverse
from core.models.temporal_refiner import TemporalRefiner, fill
from core.models.views import tensor
from core.types.arrays import F64

_SHORTEST = 3
"""Fewer frames have no acceleration."""
_AT_ONCE = 16
_EDGE = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Settled:
    """Paths of people.

    Attributes:
        xyz_mm: (T, P, J, 3), NaN where nothing is known.
        covariance_mm2: (T, P, J, 3, 3), likewise.
    """

    xyz_mm: F64
    covariance_mm2: F64


@torch.inference_mode()
def refine_over_time(
    network: TemporalRefiner, time_s: F64, xyz_mm: F64, covariance_mm2: F64, max_gap_s: float
) -> Settled:
    """Corrects tracked people by the frames before and after.

    Somebody who is missing briefly is there in the result, as exactly as the frames around tell.

    Args:
        network: In evaluation mode.
        time_s: (T,) increasing.
        xyz_mm: (T, P, J, 3) each person in one column, NaN where missing.
        covariance_mm2: (T, P, J, 3, 3) of them, NaN where missing.
        max_gap_s: Who is missing for longer begins anew.
    """
    out = Settled(xyz_mm.copy(), covariance_mm2.copy())
    for person in range(xyz_mm.shape[1]):
        _settle_one(
            network,
            time_s,
            (xyz_mm[:, person], covariance_mm2[:, person]),
            (out.xyz_mm[:, person], out.covariance_mm2[:, person]),
            max_gap_s,
        )
    return out


def _settle_one(
    network: TemporalRefiner, time_s: F64, found: tuple[F64, F64], out: tuple[F64, F64], max_gap_s: float
) -> None:
    """`refine_over_time` for a person's joints (T, J, 3) and their covariances (T, J, 3, 3), into arrays of the same shapes."""
    device = network.name.device
    known = np.asarray(np.isfinite(found[0]).all(-1) & np.isfinite(found[1]).all((-1, -2)))
    work: dict[int, list[tuple[int, int, F64]]] = {}
    for first, last in _presences(time_s, np.asarray(known.any(-1)), max_gap_s):
        for values in out:
            values[first : last + 1] = 0
        for start, end, share in _stretches(first, last + 1, network.config.frames):
            work.setdefault(end - start, []).append((start, end, share))
    eye = torch.eye(3, device=device)
    for stretches in work.values():
        for at in range(0, len(stretches), _AT_ONCE):
            some = stretches[at : at + _AT_ONCE]
            rows = np.stack([np.arange(start, end) for start, end, _ in some])
            there = torch.from_numpy(known[rows]).to(device)
            xyz, covariance = (tensor(np.nan_to_num(values[rows]), device) for values in found)
            covariance = torch.where(there[..., None, None], covariance, eye)
            results = network(tensor(time_s[rows], device), fill(xyz, there), inverse(covariance), there)
            for values, result in zip(out, results, strict=True):
                for (start, end, share), part in zip(some, result.cpu().numpy(), strict=True):
                    values[start:end] += share.reshape(-1, *[1] * (part.ndim - 1)) * part


def _presences(time_s: F64, present: np.ndarray, max_gap_s: float) -> Iterator[tuple[int, int]]:
    """First and last frame of every time (T,) that somebody is there without a long gap."""
    at = np.flatnonzero(present)
    if not len(at):
        return
    breaks = np.flatnonzero(np.diff(time_s[at]) > max_gap_s)
    for first, last in zip(at[np.r_[0, breaks + 1]], at[np.r_[breaks, len(at) - 1]], strict=True):
        if last - first + 1 >= _SHORTEST:
            yield int(first), int(last)


def _stretches(first: int, end: int, frames: int) -> Iterator[tuple[int, int, F64]]:
    """Overlapping stretches of first to end, and each frame's share (F,) of the result: more in their middles."""
    n = end - first
    length = min(frames, n)
    count = 1 if n <= frames else int(np.ceil((n - length) / (length // 2))) + 1
    starts = np.round(np.linspace(0, n - length, count)).astype(int)
    inside, total = np.arange(length) + _EDGE, np.zeros(n)
    weight = np.minimum(inside, length - inside)
    for start in starts:
        total[start : start + length] += weight
    for start in starts.tolist():
        yield first + start, first + start + length, weight / total[start : start + length]
