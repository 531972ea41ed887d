"""What the frames before and after tell of a joint: a smoother that learned how people move and how estimators err.

A filter with fixed noise levels rounds a blow and leaves the jitter of a standing person. Here a small transformer
looks at all joints of some frames at once and says, for each joint and frame, how far its measurement is to be
believed and how much it may be accelerating; the path is then the closed-form solution: untrained, it is a Kalman
smoother of constant velocity. Where a joint is it does not say: networks that did learnt the bodies and the errors
that they were shown by heart, and were worse for others.

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
"""Per root second, before anything is learned."""
_GUESS_MM = 600.0
"""So much is a guess believed, which is next to nothing: what nothing was measured of has to be somewhere."""
_BELIEFS, _ACCELERATIONS = (-6.0, 2.0), (-6.0, 6.0)
"""Bounds of both as logarithms."""
_FEATURES = 24
_LEAST_STEP_S = 1e-3
_BODY_MM, _USUAL_STEP_S, _USUAL_MM = 500.0, 1 / 30, 10.0


class TemporalRefiner(nn.Module):
    """Corrects the paths of joints.

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
        nn.init.zeros_(self.head.weight)  # the untrained network is a Kalman smoother
        nn.init.zeros_(self.head.bias)

    def forward(self, time_s: Tensor, xyz_mm: Tensor, precision: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Corrected joints.

        Args:
            time_s: (B, F) increasing.
            xyz_mm: (B, F, J, 3) measured; where they are not known, a guess of them.
            precision: (B, F, J, 3, 3) 1/mm², the inverses of their covariances.
            known: (B, F, J) bool.

        Returns:
            Joints (B, F, J, 3) mm and their covariances (B, F, J, 3, 3) mm².
        """
        middle = xyz_mm.mean((1, 2), keepdim=True)
        measured = xyz_mm - middle
        precision = precision * known[..., None, None]
        paths = _Paths(time_s)
        start, spread = paths.solve(measured, precision, measured.new_zeros(known.shape))
        tokens = self.token(_features(paths, measured, precision, known, start, spread)) + self.name
        for block in self.blocks:
            tokens = block(tokens, time_s)
        believe, accelerate = self.head(tokens).unbind(-1)
        trusted = precision * torch.exp(believe.clamp(*_BELIEFS))[..., None, None]
        path, covariance = paths.solve(measured, trusted, accelerate.clamp(*_ACCELERATIONS))
        return path + middle, covariance


def fill_gaps(xyz_mm: Tensor, known: Tensor) -> Tensor:
    """Joints (B, F, J, 3) with those that are not `known` (B, F, J) where they were last, or will be first."""
    F = known.shape[1]
    at = torch.arange(F, device=known.device)[None, :, None]
    last = torch.where(known, at, -1).cummax(1).values
    following = torch.where(known, at, F).flip(1).cummin(1).values.flip(1)
    index = torch.where(last >= 0, last, torch.where(following < F, following, at))
    return xyz_mm.gather(1, index[..., None].expand(-1, -1, -1, 3))


class _Paths:
    """Second differences of some frames, and the least-squares paths that they allow.

    Args:
        time_s: (B, F).
    """

    def __init__(self, time_s: Tensor) -> None:
        step = time_s.diff(dim=1).clamp_min(_LEAST_STEP_S)
        before, after = step[:, :-1], step[:, 1:]
        B, F = time_s.shape
        rows = torch.arange(F - 2, device=time_s.device)
        second = time_s.new_zeros(B, F - 2, F)
        second[:, rows, rows] = 2 / (before * (before + after))
        second[:, rows, rows + 1] = -2 / (before * after)
        second[:, rows, rows + 2] = 2 / (after * (before + after))
        self.second = second
        """(B, F - 2, F) takes positions to accelerations between them."""
        # White noise of acceleration, seen through differences of this length.
        self.weight = 0.75 * (before + after) / _ACCELERATION_MM_S2**2
        self.step = step

    def acceleration(self, path: Tensor) -> Tensor:
        """(B, F, J, 3) mm/s² of paths (B, F, J, 3), those of the ends as beside them."""
        inner = torch.einsum("bif,bfjk->bijk", self.second, path)
        return torch.cat([inner[:, :1], inner, inner[:, -1:]], 1)

    def velocity(self, path: Tensor) -> Tensor:
        """(B, F, J, 3) mm/s of paths (B, F, J, 3), over both steps around a frame."""
        steps = path.diff(dim=1) / self.step[..., None, None]
        return (torch.cat([steps[:, :1], steps], 1) + torch.cat([steps, steps[:, -1:]], 1)) / 2

    def solve(self, measured: Tensor, precision: Tensor, accelerate: Tensor) -> tuple[Tensor, Tensor]:
        """The likeliest paths (B, F, J, 3) and their covariances (B, F, J, 3, 3).

        Args:
            measured: (B, F, J, 3) mm, guesses among them.
            precision: (B, F, J, 3, 3) of them, 0 where missing.
            accelerate: (B, F, J) logarithms of how much sharper than usual accelerations are known to be 0.
        """
        B, F, J, _ = measured.shape
        smooth = self.weight[..., None] * torch.exp(accelerate[:, 1:-1])  # (B, F - 2, J)
        stiff = torch.einsum("bif,bij,big->bjfg", self.second, smooth, self.second)
        precision = precision + torch.eye(3, device=measured.device) / _GUESS_MM**2
        own = precision.movedim(2, 1)  # (B, J, F, 3, 3)
        right = torch.einsum("bfjkl,bfjl->bfjk", precision, measured)
        # Frames that nearly coincide, and frames without a measurement, are too much for float32.
        where = measured.device if measured.device.type != "mps" else torch.device("cpu")
        parts = (part.flatten(0, 1).to(where, torch.float64) for part in (stiff, own, right.movedim(2, 1)))
        path, covariance = (x.to(measured.device, measured.dtype) for x in _solve_banded(*parts))
        return path.view(B, J, F, 3).movedim(1, 2), covariance.view(B, J, F, 3, 3).movedim(1, 2)


def _solve_banded(stiff: Tensor, own: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Solutions (N, F, 3), and the diagonal blocks (N, F, 3, 3) of the inverses, of band matrices.

    Two frames at a time are eliminated, forwards and back, which takes F times less than a dense factorisation.

    Args:
        stiff: (N, F, F) of every coordinate alike, 0 further than two frames from the diagonal.
        own: (N, F, 3, 3) to be added at every frame.
        right: (N, F, 3).
    """
    N, F, _ = right.shape
    if F % 2:  # a last frame that has nothing to do with the others
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
    paths, spreads = [inverses[-1] @ columns[-1]], [inverses[-1]]
    for i in range(n - 2, -1, -1):
        carry = inverses[i] @ link[:, i]
        paths.append(inverses[i] @ columns[i] - carry @ paths[-1])
        spreads.append(inverses[i] + carry @ spreads[-1] @ carry.mT)
    path = torch.stack(paths[::-1], 1).view(N, 2 * n, 3)
    spread = torch.stack(spreads[::-1], 1).view(N, n, 2, 3, 2, 3)
    return path[:, :F], torch.diagonal(spread, dim1=2, dim2=4).movedim(-1, 2).reshape(N, 2 * n, 3, 3)[:, :F]


def _features(
    paths: _Paths, measured: Tensor, precision: Tensor, known: Tensor, start: Tensor, spread: Tensor
) -> Tensor:
    """(B, F, J, 24) of every joint at every frame."""
    there = known[..., None]
    residual = (measured - start) / _UNIT_MM * there
    acceleration = paths.acceleration(start) / _UNIT_MM_S2
    covariance = inverse(torch.where(there[..., None], precision, torch.eye(3, device=precision.device)))
    size = torch.diagonal(covariance, dim1=-2, dim2=-1).mean(-1)  # (B, F, J)
    shape = (covariance / size[..., None, None]).flatten(-2)[..., [0, 1, 2, 4, 5, 8]]
    step = torch.cat([paths.step[:, :1], paths.step], 1)[:, :, None].expand(known.shape)
    after = torch.diagonal(spread, dim1=-2, dim2=-1).mean(-1)
    return torch.cat(
        [
            (start - start.mean(2, keepdim=True)) / _BODY_MM,
            *_tamed(residual),
            paths.velocity(start) / _UNIT_MM_S,
            *_tamed(acceleration),
            (size.log() / 2 - math.log(_USUAL_MM))[..., None] * there,
            shape * there,
            (after.log() / 2 - math.log(_USUAL_MM))[..., None],
            there.float(),
            (step / _USUAL_STEP_S).log()[..., None],
        ],
        -1,
    )


def _tamed(vector: Tensor) -> tuple[Tensor, Tensor]:
    """Vectors (..., 3) that keep their direction and stay short, and the logarithms (..., 1) of their lengths."""
    length = vector.square().sum(-1, keepdim=True).add(1e-9).sqrt()
    return vector / (1 + length), torch.log1p(length)


class TemporalBlock(nn.Module):
    """Attention among the joints of a frame, then among the frames of a joint, then a perceptron."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.joints = Attention(channels, heads)
        self.frames = Attention(channels, heads)
        self.near = nn.Parameter(torch.linspace(-2.0, 4.0, heads))
        """Logarithms of how fast a frame's weight falls with time, 1/s, one a head."""
        self.later = nn.Parameter(torch.zeros(heads))
        """How much faster it falls for frames that come later than for those before."""
        self.norm = nn.LayerNorm(channels)
        self.mix = nn.Sequential(nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels))

    def forward(self, tokens: Tensor, time_s: Tensor) -> Tensor:
        """(B, F, J, C) tokens of frames at (B, F) seconds."""
        B, _, J, _ = tokens.shape
        tokens = tokens + self.joints(tokens, None)
        apart = (time_s[:, None, :] - time_s[:, :, None])[:, None]  # (B, 1, F, F)
        bias = -apart.abs() * self.near.exp()[:, None, None] - apart * self.later[:, None, None]
        bias = bias[:, None].expand(-1, J, -1, -1, -1).reshape(B * J, *bias.shape[1:])
        tokens = tokens + self.frames(tokens.transpose(1, 2), None, bias).transpose(1, 2)
        out: Tensor = tokens + self.mix(self.norm(tokens))
        return out
