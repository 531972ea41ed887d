"""Temporal refiner: a smoother with learned measurement and motion noise.

A filter with fixed noise levels smooths away fast motion and leaves jitter in a standing person. A small transformer
processes all joints of a window of frames and predicts, for each joint and frame, one factor on the precision of the
measurement and one on that of the acceleration. The trajectory is then the closed-form MAP solution; untrained, it is a
Kalman (RTS) smoother with a constant-velocity model. The network does not predict positions: networks that did
memorised the bodies and errors of their training data and generalised worse.

Legend: B person, F frame, J joint, C channel.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.models.config import TemporalRefinerConfig
from core.models.refiners.ray_refiner import Attention, inverse

_UNIT_MM, _UNIT_MM_S, _UNIT_MM_S2 = 100.0, 1000.0, 10_000.0
_ACCELERATION_MM_S2 = 3000.0
"""Spectral density of the white acceleration noise before training, mm/s² per root second."""
_GUESS_MM = 600.0
"""Standard deviation of a filled-in estimate in mm: almost no information, but it keeps the system solvable."""
_BELIEFS, _ACCELERATIONS = (-6.0, 2.0), (-6.0, 6.0)
"""Bounds of the logarithms of the measurement and motion factors."""
_FEATURES = 24
_LEAST_STEP_S = 1e-3
_BODY_MM, _USUAL_STEP_S, _USUAL_MM = 500.0, 1 / 30, 10.0


class TemporalRefiner(nn.Module):
    """Network that smooths the trajectories of joints.

    Args:
        joints: Number of joints.
        config: Size.
    """

    def __init__(self, joints: int, config: TemporalRefinerConfig) -> None:
        super().__init__()
        self.config = config
        C = config.channels
        self.token = nn.Sequential(nn.Linear(_FEATURES, C), nn.GELU(), nn.Linear(C, C))
        self.name = nn.Parameter(0.02 * torch.randn(joints, C))
        self.blocks = nn.ModuleList(TemporalBlock(C, config.heads) for _ in range(config.layers))
        self.head = nn.Linear(C, 2)
        nn.init.zeros_(self.head.weight)  # untrained, the network is a Kalman smoother
        nn.init.zeros_(self.head.bias)

    def forward(self, time_s: Tensor, xyz_mm: Tensor, precision: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Smooth joints.

        Args:
            time_s: (B, F) increasing times.
            xyz_mm: (B, F, J, 3) measured joints; an estimate where they are not known.
            precision: (B, F, J, 3, 3) 1/mm², the inverses of their covariances.
            known: (B, F, J) bool.

        Returns:
            Joints (B, F, J, 3) mm and their covariances (B, F, J, 3, 3) mm².
        """
        middle = xyz_mm.mean((1, 2), keepdim=True)
        measured = xyz_mm - middle
        precision = precision * known[..., None, None]
        trajectories = _Trajectories(time_s)
        start, spread = trajectories.solve(measured, precision, measured.new_zeros(known.shape))
        tokens = self.token(_features(trajectories, measured, precision, known, start, spread)) + self.name
        for block in self.blocks:
            tokens = block(tokens, time_s)
        measurement, accelerate = self.head(tokens).unbind(-1)
        trusted = precision * torch.exp(measurement.clamp(*_BELIEFS))[..., None, None]
        path, covariance = trajectories.solve(measured, trusted, accelerate.clamp(*_ACCELERATIONS))
        return path + middle, covariance


def fill_gaps(xyz_mm: Tensor, known: Tensor) -> Tensor:
    """Fill joints (B, F, J, 3) that are not `known` (B, F, J) with their last known position, or else the next one."""
    F = known.shape[1]
    at = torch.arange(F, device=known.device)[None, :, None]
    last = torch.where(known, at, -1).cummax(1).values
    following = torch.where(known, at, F).flip(1).cummin(1).values.flip(1)
    index = torch.where(last >= 0, last, torch.where(following < F, following, at))
    return xyz_mm.gather(1, index[..., None].expand(-1, -1, -1, 3))


class _Trajectories:
    """Second-difference operators of a window, and the least-squares trajectories under them.

    Args:
        time_s: (B, F) times.
    """

    def __init__(self, time_s: Tensor) -> None:
        step = time_s.diff(dim=1).clamp_min(_LEAST_STEP_S)
        before, after = step[:, :-1], step[:, 1:]
        B, F = time_s.shape
        rows = torch.arange(F - 2, device=time_s.device)
        second = time_s.new_zeros(B, F - 2, F)
        """(B, F - 2, F) maps positions to accelerations."""
        second[:, rows, rows] = 2 / (before * (before + after))
        second[:, rows, rows + 1] = -2 / (before * after)
        second[:, rows, rows + 2] = 2 / (after * (before + after))
        self.second = second
        """(B, F - 2, F) maps positions to accelerations."""
        # Precision of white acceleration noise, observed through differences over these steps.
        self.weight = 0.75 * (before + after) / _ACCELERATION_MM_S2**2
        self.step = step

    def acceleration(self, path: Tensor) -> Tensor:
        """Return accelerations (B, F, J, 3) mm/s² of trajectories (B, F, J, 3); the ends repeat their neighbours."""
        inner = torch.einsum("bif,bfjk->bijk", self.second, path)
        return torch.cat([inner[:, :1], inner, inner[:, -1:]], 1)

    def velocity(self, path: Tensor) -> Tensor:
        """Return central-difference velocities (B, F, J, 3) mm/s of trajectories (B, F, J, 3)."""
        steps = path.diff(dim=1) / self.step[..., None, None]
        return (torch.cat([steps[:, :1], steps], 1) + torch.cat([steps, steps[:, -1:]], 1)) / 2

    def solve(self, measured: Tensor, precision: Tensor, accelerate: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the MAP trajectories (B, F, J, 3) and their covariances (B, F, J, 3, 3).

        Args:
            measured: (B, F, J, 3) mm, including filled-in estimates.
            precision: (B, F, J, 3, 3) precisions, 0 where missing.
            accelerate: (B, F, J) log factors on the precision of zero acceleration.
        """
        B, F, J, _ = measured.shape
        smooth = self.weight[..., None] * torch.exp(accelerate[:, 1:-1])  # (B, F - 2, J)
        stiff = torch.einsum("bif,bij,big->bjfg", self.second, smooth, self.second)
        precision = precision + torch.eye(3, device=measured.device) / _GUESS_MM**2
        own = precision.movedim(2, 1)  # (B, J, F, 3, 3)
        right = torch.einsum("bfjkl,bfjl->bfjk", precision, measured)
        # Nearly coincident frames and frames without a measurement exceed the range of float32.
        where = measured.device if measured.device.type != "mps" else torch.device("cpu")
        parts = (part.flatten(0, 1).to(where, torch.float64) for part in (stiff, own, right.movedim(2, 1)))
        path, covariance = (x.to(measured.device, measured.dtype) for x in _solve_banded(*parts))
        return path.view(B, J, F, 3).movedim(1, 2), covariance.view(B, J, F, 3, 3).movedim(1, 2)


def _solve_banded(stiff: Tensor, own: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Solve symmetric banded systems by block elimination of two frames at a time.

    Forward and backward substitution take F times less work than a dense factorisation.

    Args:
        stiff: (N, F, F), the same for each coordinate; 0 further than two frames from the diagonal.
        own: (N, F, 3, 3) blocks to add at every frame.
        right: (N, F, 3) right-hand sides.

    Returns:
        Solutions (N, F, 3), and the diagonal blocks (N, F, 3, 3) of the inverses.
    """
    N, F, _ = right.shape
    if F % 2:  # pad with an independent frame
        stiff, right = functional.pad(stiff, (0, 1, 0, 1)), functional.pad(right, (0, 0, 0, 1))
        own = torch.cat([own, torch.eye(3, dtype=own.dtype, device=own.device).expand(N, 1, 3, 3)], 1)
    n = (F + 1) // 2
    eye = torch.eye(3, dtype=own.dtype, device=own.device)[:, None]  # (3, 1, 3)
    pairs = stiff.view(N, n, 2, n, 2)
    there, ahead = (torch.diagonal(pairs, k, 1, 3).movedim(-1, 1) for k in (0, 1))  # (N, n, 2, 2)
    across = torch.diag_embed(own.view(N, n, 2, 3, 3).movedim(2, -1)).permute(0, 1, 4, 2, 5, 3)  # (N, n, 2, 3, 2, 3)
    block = (there[:, :, :, None, :, None] * eye + across).reshape(N, n, 6, 6)
    link = (ahead[:, :, :, None, :, None] * eye).reshape(N, n - 1, 6, 6)
    column = right.reshape(N, n, 6, 1)
    inverses, columns = [torch.linalg.inv(block[:, 0])], [column[:, 0]]
    for i in range(1, n):
        carry = link[:, i - 1].mT @ inverses[-1]
        inverses.append(torch.linalg.inv(block[:, i] - carry @ link[:, i - 1]))
        columns.append(column[:, i] - carry @ columns[-1])
    trajectories, spreads = [inverses[-1] @ columns[-1]], [inverses[-1]]
    for i in range(n - 2, -1, -1):
        carry = inverses[i] @ link[:, i]
        trajectories.append(inverses[i] @ columns[i] - carry @ trajectories[-1])
        spreads.append(inverses[i] + carry @ spreads[-1] @ carry.mT)
    path = torch.stack(trajectories[::-1], 1).view(N, 2 * n, 3)
    spread = torch.stack(spreads[::-1], 1).view(N, n, 2, 3, 2, 3)
    return path[:, :F], torch.diagonal(spread, dim1=2, dim2=4).movedim(-1, 2).reshape(N, 2 * n, 3, 3)[:, :F]


def _features(
    trajectories: _Trajectories, measured: Tensor, precision: Tensor, known: Tensor, start: Tensor, spread: Tensor
) -> Tensor:
    """Return the features (B, F, J, 24) of every joint at every frame."""
    there = known[..., None]
    residual = (measured - start) / _UNIT_MM * there
    acceleration = trajectories.acceleration(start) / _UNIT_MM_S2
    covariance = inverse(torch.where(there[..., None], precision, torch.eye(3, device=precision.device)))
    size = torch.diagonal(covariance, dim1=-2, dim2=-1).mean(-1)  # (B, F, J)
    shape = (covariance / size[..., None, None]).flatten(-2)[..., [0, 1, 2, 4, 5, 8]]
    step = torch.cat([trajectories.step[:, :1], trajectories.step], 1)[:, :, None].expand(known.shape)
    after = torch.diagonal(spread, dim1=-2, dim2=-1).mean(-1)
    return torch.cat(
        [
            (start - start.mean(2, keepdim=True)) / _BODY_MM,
            *_bounded(residual),
            trajectories.velocity(start) / _UNIT_MM_S,
            *_bounded(acceleration),
            (size.log() / 2 - math.log(_USUAL_MM))[..., None] * there,
            shape * there,
            (after.log() / 2 - math.log(_USUAL_MM))[..., None],
            there.float(),
            (step / _USUAL_STEP_S).log()[..., None],
        ],
        -1,
    )


def _bounded(vector: Tensor) -> tuple[Tensor, Tensor]:
    """Return vectors (..., 3) of bounded length in the same direction, and the logarithms (..., 1) of their lengths."""
    length = vector.square().sum(-1, keepdim=True).add(1e-9).sqrt()
    return vector / (1 + length), torch.log1p(length)


class TemporalBlock(nn.Module):
    """Attention among the joints of a frame, then among the frames of a joint, then an MLP."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.joints = Attention(channels, heads)
        self.frames = Attention(channels, heads)
        self.near = nn.Parameter(torch.linspace(-2.0, 4.0, heads))
        """Logarithms of the decay rate of attention with time, 1/s, one per head."""
        self.later = nn.Parameter(torch.zeros(heads))
        """Additional decay rate for later frames, one per head."""
        self.norm = nn.LayerNorm(channels)
        self.mix = nn.Sequential(nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels))

    def forward(self, tokens: Tensor, time_s: Tensor) -> Tensor:
        """Process tokens (B, F, J, C) of frames at times (B, F) s."""
        B, _, J, _ = tokens.shape
        tokens = tokens + self.joints(tokens, None)
        apart = (time_s[:, None, :] - time_s[:, :, None])[:, None]  # (B, 1, F, F)
        bias = -apart.abs() * self.near.exp()[:, None, None] - apart * self.later[:, None, None]
        bias = bias[:, None].expand(-1, J, -1, -1, -1).reshape(B * J, *bias.shape[1:])
        tokens = tokens + self.frames(tokens.transpose(1, 2), None, bias).transpose(1, 2)
        out: Tensor = tokens + self.mix(self.norm(tokens))
        return out
