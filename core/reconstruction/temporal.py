"""Temporal refinement of tracked people of a take, in overlapping windows.

Letters in shapes: T time, P person, J joint, F frame of a window.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from core.models.refiners.ray_refiner import inverse
from core.models.refiners.temporal_refiner import TemporalRefiner, fill_gaps
from core.models.view_batch import float_tensor
from core.types.arrays import F64

_MIN_FRAMES = 3
"""Minimum number of frames, as needed for an acceleration."""
_BATCH = 16
_EDGE_WEIGHT = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class RefinedTracks:
    """Refined trajectories of people.

    Attributes:
        xyz_mm: (T, P, J, 3) joints, NaN where missing.
        covariance_mm2: (T, P, J, 3, 3) covariances, NaN where missing.
    """

    xyz_mm: F64
    covariance_mm2: F64


@torch.inference_mode()
def refine_tracks(
    network: TemporalRefiner, time_s: F64, xyz_mm: F64, covariance_mm2: F64, max_gap_s: float
) -> RefinedTracks:
    """Refine tracked people with the previous and following frames.

    Short gaps are filled, with a covariance that follows from the neighbouring frames.

    Args:
        network: Temporal refiner in evaluation mode.
        time_s: (T,) increasing times.
        xyz_mm: (T, P, J, 3) joints, one column per person, NaN where missing.
        covariance_mm2: (T, P, J, 3, 3) covariances, NaN where missing.
        max_gap_s: Longest gap to fill.
    """
    out = RefinedTracks(xyz_mm.copy(), covariance_mm2.copy())
    for person in range(xyz_mm.shape[1]):
        _refine_track(
            network,
            time_s,
            (xyz_mm[:, person], covariance_mm2[:, person]),
            (out.xyz_mm[:, person], out.covariance_mm2[:, person]),
            max_gap_s,
        )
    return out


def _refine_track(
    network: TemporalRefiner, time_s: F64, measured: tuple[F64, F64], out: tuple[F64, F64], max_gap_s: float
) -> None:
    """Refine the joints (T, J, 3) and covariances (T, J, 3, 3) of one person; write to arrays `out` of these shapes."""
    device = network.name.device
    known = np.asarray(np.isfinite(measured[0]).all(-1) & np.isfinite(measured[1]).all((-1, -2)))
    windows_by_length: dict[int, list[tuple[int, int, F64]]] = {}
    for first, last in _presence_intervals(time_s, np.asarray(known.any(-1)), max_gap_s):
        for values in out:
            values[first : last + 1] = 0
        for start, end, weight in _windows(first, last + 1, network.config.frames):
            windows_by_length.setdefault(end - start, []).append((start, end, weight))
    eye = torch.eye(3, device=device)
    for windows in windows_by_length.values():
        for at in range(0, len(windows), _BATCH):
            batch = windows[at : at + _BATCH]
            rows = np.stack([np.arange(start, end) for start, end, _ in batch])
            valid = torch.from_numpy(known[rows]).to(device)
            xyz, covariance = (float_tensor(np.nan_to_num(values[rows]), device) for values in measured)
            covariance = torch.where(valid[..., None, None], covariance, eye)
            results = network(float_tensor(time_s[rows], device), fill_gaps(xyz, valid), inverse(covariance), valid)
            for values, result in zip(out, results, strict=True):
                for (start, end, weight), part in zip(batch, result.cpu().numpy(), strict=True):
                    values[start:end] += weight.reshape(-1, *[1] * (part.ndim - 1)) * part


def _presence_intervals(time_s: F64, present: np.ndarray, max_gap_s: float) -> Iterator[tuple[int, int]]:
    """Yield the first and last frame of every interval of `present` (T,) without a long gap."""
    at = np.flatnonzero(present)
    if not len(at):
        return
    breaks = np.flatnonzero(np.diff(time_s[at]) > max_gap_s)
    for first, last in zip(at[np.r_[0, breaks + 1]], at[np.r_[breaks, len(at) - 1]], strict=True):
        if last - first + 1 >= _MIN_FRAMES:
            yield int(first), int(last)


def _windows(first: int, end: int, frames: int) -> Iterator[tuple[int, int, F64]]:
    """Yield overlapping windows from `first` to `end`, with frame weights (F,) that are largest at the centre."""
    n = end - first
    length = min(frames, n)
    count = 1 if n <= frames else int(np.ceil((n - length) / (length // 2))) + 1
    starts = np.round(np.linspace(0, n - length, count)).astype(int)
    inside, total = np.arange(length) + _EDGE_WEIGHT, np.zeros(n)
    weight = np.minimum(inside, length - inside)
    for start in starts:
        total[start : start + length] += weight
    for start in starts.tolist():
        yield first + start, first + start + length, weight / total[start : start + length]
