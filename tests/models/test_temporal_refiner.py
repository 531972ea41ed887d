"""The temporal refiner: a Kalman smoother in closed form before training, and a network that can be trained."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from core.models.config import TemporalRefinerConfig
from core.models.refiners.temporal_refiner import TemporalRefiner, _solve_banded, fill_gaps
from core.tracking.config import TrackingConfig
from core.tracking.smooth import rts

B, F, J = 2, 20, 3


@pytest.fixture
def network() -> TemporalRefiner:
    torch.manual_seed(0)
    return TemporalRefiner(J, TemporalRefinerConfig(enabled=True, channels=16, layers=1, heads=2)).eval()


@pytest.fixture
def trained(network: TemporalRefiner) -> TemporalRefiner:
    """Return the network with random weights of the head: no longer a Kalman smoother."""
    torch.manual_seed(1)
    torch.nn.init.normal_(network.head.weight, std=0.1)
    return network


def times_s(step_s: float = 1 / 30) -> Tensor:
    return (torch.arange(F) * step_s).expand(B, F)


def certain(mm: float) -> Tensor:
    return torch.eye(3).expand(B, F, J, 3, 3) / mm**2


EVERY = torch.ones(B, F, J, dtype=torch.bool)


def random_walk(seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.cumsum(15 * torch.randn(B, F, J, 3, generator=generator), 1) + torch.tensor([900.0, -400.0, 800.0])


class TestUntrained:
    def test_is_about_a_kalman_smoother(self, network: TemporalRefiner) -> None:
        xyz = random_walk()
        trajectory, _ = network(times_s(), xyz, certain(15.0), EVERY)
        settings = TrackingConfig(smoothing="rts", rts_accel_mm_s2=3000.0)
        covariance = np.broadcast_to(np.eye(3) * 225, (F, J, 3, 3))
        expected = rts(times_s()[0].numpy().astype(float), xyz[0].numpy().astype(float), covariance, settings)
        inner = slice(2, -2)  # the priors of the first velocity differ
        moved = np.abs(expected - xyz[0].numpy())[inner].mean()
        assert np.abs(trajectory[0].detach().numpy() - expected)[inner].mean() < 0.1 * moved

    @pytest.mark.parametrize("step_s", [1 / 20, 1 / 120])
    def test_uniform_motion_is_unchanged(self, network: TemporalRefiner, step_s: float) -> None:
        """Uniform motion stays as it is, also at irregular frame times."""
        time_s = times_s(step_s) + step_s * 0.3 * torch.rand(B, F, generator=torch.Generator().manual_seed(2))
        velocity = torch.tensor([1200.0, -500.0, 300.0])
        exact = (time_s[..., None, None] * velocity).expand(B, F, J, 3) + 100.0
        trajectory, _ = network(time_s, exact, certain(10.0), EVERY)
        assert (trajectory - exact).abs().max() < 0.1

    def test_covariance_is_that_of_the_solution(self, network: TemporalRefiner) -> None:
        """Compare with the variance over many samples of noise on one trajectory."""
        torch.manual_seed(0)
        exact = torch.zeros(1, F, J, 3)
        noise = 12 * torch.randn(400, F, J, 3)
        with torch.inference_mode():
            trajectory, covariance = network(
                times_s()[:1].expand(400, F),
                exact + noise,
                certain(12.0)[:1].expand(400, F, J, 3, 3),
                EVERY[:1].expand(400, F, J),
            )
        # The joints stand still, but the smoother expects accelerations: it predicts more than the actual variance.
        empirical, predicted = trajectory.var((0, 2, 3)), torch.diagonal(covariance, dim1=-2, dim2=-1).mean((0, 2, 3))
        assert (empirical < 1.05 * predicted).all() and (empirical > 0.4 * predicted).all()
        assert predicted[0] > predicted[F // 2]

    def test_gaps_are_interpolated_with_a_larger_covariance(self, network: TemporalRefiner) -> None:
        exact = (times_s()[..., None, None] * torch.tensor([1000.0, 0, 0])).expand(B, F, J, 3)
        known = EVERY.clone()
        known[:, 8:12, 1] = False
        wrong = torch.where(known[..., None], exact, 5000.0)
        trajectory, covariance = network(times_s(), fill_gaps(wrong, known), certain(10.0), known)
        assert (trajectory - exact).abs().max() < 2.0
        size = torch.diagonal(covariance, dim1=-2, dim2=-1).mean(-1)
        assert (size[:, 10, 1] > 2 * size[:, 10, 0]).all()


class TestNetwork:
    def test_output_is_translation_equivariant(self, trained: TemporalRefiner) -> None:
        translation = torch.tensor([3000.0, -2000.0, 100.0])
        one, _ = trained(times_s(), random_walk(), certain(15.0), EVERY)
        two, _ = trained(times_s(), random_walk() + translation, certain(15.0), EVERY)
        assert (two - translation - one).abs().max() < 0.05

    def test_unknown_joints_have_no_effect(self, trained: TemporalRefiner) -> None:
        """Values of unknown joints do not matter once `fill_gaps` has replaced them."""
        known = EVERY.clone()
        known[:, 3:7, 0] = False
        xyz = random_walk()
        other = torch.where(known[..., None], xyz, xyz + 400)
        one, _ = trained(times_s(), fill_gaps(xyz, known), certain(15.0), known)
        two, _ = trained(times_s(), fill_gaps(other, known), certain(15.0), known)
        assert torch.equal(one, two)

    def test_gradients_reach_every_parameter(self, trained: TemporalRefiner) -> None:
        trajectory, covariance = trained(times_s(), random_walk(), certain(15.0), EVERY)
        (trajectory.square().mean() / 1e6 + covariance.mean()).backward()
        without_gradient = [
            name for name, p in trained.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0
        ]
        assert not without_gradient
        assert all(torch.isfinite(p.grad).all() for p in trained.parameters() if p.grad is not None)

    def test_extremes_stay_finite(self, trained: TemporalRefiner) -> None:
        """A joint never seen, an overconfident one, an error of metres, and two frames at almost the same time."""
        torch.nn.init.normal_(trained.head.weight, std=5.0)
        time_s = times_s().clone()
        time_s[:, 5:] -= 0.0332
        known = EVERY.clone()
        known[:, :, 2] = False
        precision = certain(15.0).clone()
        precision[:, 4, 0] *= 1e4
        xyz = random_walk()
        xyz[:, 9, 1] += 4000
        trajectory, covariance = trained(time_s, fill_gaps(xyz, known), precision, known)
        assert torch.isfinite(trajectory).all() and torch.isfinite(covariance).all()
        assert (torch.diagonal(covariance, dim1=-2, dim2=-1) > 0).all()


def test_gaps_take_the_last_known_value_or_the_first() -> None:
    xyz = torch.arange(6.0).view(1, 6, 1, 1).expand(1, 6, 1, 3)
    known = torch.tensor([False, True, False, False, True, False]).view(1, 6, 1)
    assert fill_gaps(xyz, known)[0, :, 0, 0].tolist() == [1, 1, 1, 1, 4, 4]


@pytest.mark.parametrize("n", [3, 4, 9])
def test_the_banded_solver_agrees_with_a_dense_one(n: int) -> None:
    torch.manual_seed(3)
    second = torch.zeros(2, n - 2, n, dtype=torch.float64)
    for i in range(n - 2):
        second[:, i, i : i + 3] = torch.tensor([1.0, -2.1, 1.1])
    root, rhs = torch.randn(2, n, 3, 3, dtype=torch.float64), torch.randn(2, n, 3, dtype=torch.float64)
    stiffness, own = 5 * second.mT @ second, root @ root.mT + 0.1 * torch.eye(3, dtype=torch.float64)
    dense = torch.stack([torch.kron(s, torch.eye(3, dtype=torch.float64)) for s in stiffness])
    for f in range(n):
        dense[:, 3 * f : 3 * f + 3, 3 * f : 3 * f + 3] += own[:, f]
    solution, covariance = _solve_banded(stiffness, own, rhs)
    torch.testing.assert_close(solution.reshape(2, -1), torch.linalg.solve(dense, rhs.reshape(2, -1)))
    inverse = torch.linalg.inv(dense)
    for f in range(n):
        torch.testing.assert_close(covariance[:, f], inverse[:, 3 * f : 3 * f + 3, 3 * f : 3 * f + 3])
