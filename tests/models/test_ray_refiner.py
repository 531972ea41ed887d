"""The ray refiner: exact rays intersect in the joint, outliers are rejected, and the precision is consistent."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core.models.config import RayRefinerConfig
from core.models.geometry.affine import fit_rig_affines, heatmap_size
from core.models.geometry.projection import RigProjector, to_heatmap
from core.models.refiners.ray_refiner import JointObservations, ObservationRays, RayRefiner, gaussian_nll, inverse
from core.synthetic.people import poses
from core.synthetic.rigs import ring_rig
from core.types.skeleton import PANOPTIC15

VIEWS = 5


@pytest.fixture(scope="module")
def world() -> tuple[RigProjector, torch.Tensor, torch.Tensor, JointObservations]:
    """Return a projector, affines (P, V, 2, 3), exact joints (P, J, 3) and their exact observations."""
    rig = ring_rig(VIEWS, distortion=(-0.1, 0.03, 0, 0, 0))
    projector = RigProjector(rig)
    affine = torch.tensor(fit_rig_affines(rig, heatmap_size(rig, 240)), dtype=torch.float32).expand(3, -1, -1, -1)
    exact = torch.tensor(poses(3, np.random.default_rng(0), skeleton=PANOPTIC15), dtype=torch.float32)
    xy = to_heatmap(affine, projector(exact)[0])
    return projector, affine, exact, JointObservations(xy, torch.ones(xy.shape[:-1]))


class TestRays:
    def test_offsets_end_on_the_ray(self, world) -> None:  # type: ignore[no-untyped-def]
        projector, affine, exact, observations = world
        rays = ObservationRays.of(projector, affine, observations, exact + 30)
        across = torch.eye(3) - rays.direction[..., :, None] * rays.direction[..., None, :]
        expected = (across @ torch.full((3,), -30.0)[:, None])[..., 0]
        assert float((rays.offset_mm - expected).norm(dim=-1).max()) < 1.0  # distortion bends rays a little over 50 mm

    def test_exact_rays_intersect_in_the_joint(self, world) -> None:  # type: ignore[no-untyped-def]
        projector, affine, exact, observations = world
        offset_mm, intersects = ObservationRays.of(projector, affine, observations, exact + 40).agree()
        assert intersects.all() and float((exact + 40 + offset_mm - exact).norm(dim=-1).max()) < 2.0

    def test_two_outliers_of_five_views_are_rejected(self, world) -> None:  # type: ignore[no-untyped-def]
        projector, affine, exact, observations = world
        xy = observations.xy.clone()
        xy[:, 0] += torch.tensor([25.0, 0.0])
        xy[:, 1] -= torch.tensor([0.0, 30.0])
        offset_mm, _ = ObservationRays.of(projector, affine, JointObservations(xy, observations.height), exact).agree()
        assert float(offset_mm.norm(dim=-1).mean()) < 5.0

    def test_one_view_gives_no_intersection(self, world) -> None:  # type: ignore[no-untyped-def]
        projector, affine, exact, observations = world
        height = torch.zeros_like(observations.height)
        height[:, 2] = 1
        offset_mm, intersects = ObservationRays.of(
            projector, affine, JointObservations(observations.xy, height), exact + 40
        ).agree()
        assert not intersects.any() and not offset_mm.any()


class TestRayRefiner:
    def test_untrained_is_weighted_triangulation(self, world) -> None:  # type: ignore[no-untyped-def]
        projector, affine, exact, observations = world
        network = RayRefiner(15, RayRefinerConfig(rounds=6)).eval()
        start = exact + 25 * torch.randn(exact.shape, generator=torch.Generator().manual_seed(0))
        spread = torch.full(exact.shape[:2], 40.0)
        with torch.no_grad():
            refined, precision = network(projector, affine, observations, start, spread)
        assert float((refined - exact).norm(dim=-1).mean()) < 1.0
        assert torch.linalg.eigvalsh(precision.double()).min() > 0

    def test_joints_without_observations_keep_their_position_and_the_prior_covariance(self, world) -> None:  # type: ignore[no-untyped-def]
        projector, affine, exact, observations = world
        network = RayRefiner(15, RayRefinerConfig()).eval()
        nothing = JointObservations(observations.xy, torch.zeros_like(observations.height))
        refined, precision = network(projector, affine, nothing, exact, torch.full(exact.shape[:2], 40.0))
        torch.testing.assert_close(refined, exact)
        torch.testing.assert_close(inverse(precision), 100.0**2 * torch.eye(3).expand(*exact.shape[:2], 3, 3))

    def test_output_does_not_depend_on_the_order_of_the_views(self, world) -> None:  # type: ignore[no-untyped-def]
        projector, affine, exact, observations = world
        torch.manual_seed(1)
        network = RayRefiner(15, RayRefinerConfig(rounds=1)).eval()
        torch.nn.init.normal_(network.weight.weight)
        torch.nn.init.normal_(network.prior.weight)
        order = [3, 0, 4, 1, 2]
        permuted = RigProjector(ring_rig(VIEWS, distortion=(-0.1, 0.03, 0, 0, 0)))
        permuted.R, permuted.t_mm = projector.R[order], projector.t_mm[order]
        spread = torch.full(exact.shape[:2], 40.0)
        one, _ = network(projector, affine, observations, exact + 20, spread)
        shuffled = JointObservations(observations.xy[:, order], observations.height[:, order])
        other, _ = network(permuted, affine[:, order], shuffled, exact + 20, spread)
        torch.testing.assert_close(one, other, atol=0.05, rtol=0)

    def test_gradient_reaches_every_parameter(self, world) -> None:  # type: ignore[no-untyped-def]
        projector, affine, exact, observations = world
        network = RayRefiner(15, RayRefinerConfig(rounds=1))
        torch.nn.init.normal_(network.weight.weight)
        torch.nn.init.normal_(network.prior.weight)
        refined, precision = network(projector, affine, observations, exact + 20, torch.full(exact.shape[:2], 40.0))
        (refined.sum() + precision.sum()).backward()
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


class TestSmallMatrices:
    def test_inverse_and_likelihood(self) -> None:
        half = torch.randn(50, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        matrix = half @ half.mT + 0.1 * torch.eye(3, dtype=torch.float64)
        torch.testing.assert_close(inverse(matrix), torch.linalg.inv(matrix))
        error = torch.randn(50, 3, dtype=torch.float64)
        normal = torch.distributions.MultivariateNormal(torch.zeros(3, dtype=torch.float64), precision_matrix=matrix)
        constant = (-normal.log_prob(error) / 3 - gaussian_nll(error, matrix)).std()
        assert float(constant) < 1e-9
