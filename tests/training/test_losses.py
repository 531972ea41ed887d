"""Losses: values, masking by weights, and direction of the gradients."""

from __future__ import annotations

import math

import pytest
import torch

from core.training.losses.heatmaps import heatmap_loss, truncated_quadratic
from core.training.losses.joints import joint_loss, match_people
from core.training.losses.positions import position_loss, triplane_loss
from core.training.losses.roots import root_loss

SIZE = (512, 960)


def one_label() -> tuple[torch.Tensor, torch.Tensor]:
    """Return the label of one person in one view, all 15 joints at one point, and its weights."""
    return torch.full((1, 1, 1, 15, 2), 200.0), torch.ones(1, 1, 1, 15)


class TestTruncatedQuadratic:
    def test_equals_the_loss_at_the_optimal_attention(self) -> None:
        e = torch.tensor([0.05, 0.1, 0.2, 0.7])
        a = (1 - 5 * e).clamp_min(0)
        assert a[:2].tolist() == pytest.approx([0.75, 0.5])
        torch.testing.assert_close(truncated_quadratic(e), a * e + 0.1 * (a - 1) ** 2)
        assert float(truncated_quadratic(e)[1]) == pytest.approx(0.075)

    def test_outliers_carry_no_gradient(self) -> None:
        e = torch.tensor([0.1, 0.5], requires_grad=True)
        truncated_quadratic(e).sum().backward()
        assert e.grad is not None and e.grad.tolist() == pytest.approx([0.5, 0.0])


class TestHeatmapLoss:
    def test_value_and_mask(self) -> None:
        predicted, target = torch.zeros(1, 2, 1, 4, 4), torch.zeros(1, 2, 1, 4, 4)
        target[0, :, 0, 1, 1] = 0.4
        both = heatmap_loss(predicted, target, torch.ones(1, 2, 1), robust=False)
        assert float(both) == pytest.approx(0.16 / 16)
        one = heatmap_loss(predicted, target, torch.tensor([[[1.0], [0.0]]]), robust=False)
        assert float(one) == pytest.approx(0.16 / 32)
        robust = heatmap_loss(predicted, target, torch.ones(1, 2, 1), robust=True)
        assert float(robust) == pytest.approx((0.16 - 2.5 * 0.16**2) / 16)

    def test_gradient_only_where_weighted(self) -> None:
        predicted = torch.zeros(1, 2, 1, 4, 4, requires_grad=True)
        heatmap_loss(predicted, torch.ones(1, 2, 1, 4, 4) * 0.3, torch.tensor([[[1.0], [0.0]]]), robust=True).backward()
        assert predicted.grad is not None
        assert (predicted.grad[0, 0] < 0).all() and (predicted.grad[0, 1] == 0).all()


class TestJointLoss:
    def test_published_value(self) -> None:
        target, weight = one_label()
        people = [target[0] + torch.tensor([9.6, 0.0])]
        assert float(joint_loss(people, target, weight, SIZE, gate=0.1, hard=False)) == pytest.approx(0.005)

    def test_hard_attention_drops_the_worst_view(self) -> None:
        target = torch.zeros(1, 5, 1, 15, 2)
        # Offsets whose mean over both coordinates is 1, 2, 3, 4 and 10 % of the width.
        offset = torch.tensor([1.0, 2, 3, 4, 10]) * 0.02 * 960
        people = [target[0] + torch.stack([offset, torch.zeros(5)], -1)[:, None, None]]
        loss = joint_loss(people, target, torch.ones(1, 5, 1, 15), SIZE, gate=1.0, hard=True)
        assert float(loss) == pytest.approx(0.025)

    def test_people_are_matched_within_the_gate(self) -> None:
        target = torch.tensor([100.0, 500.0]).view(1, 1, 2, 1, 1).expand(1, 1, 2, 15, 2).clone()
        exchanged = [target[0].flip(1)]
        ones = torch.ones(1, 1, 2, 15)
        assert float(joint_loss(exchanged, target, ones, SIZE, gate=0.1, hard=False)) == 0
        far = [(target[0, :, :1] + 200).requires_grad_()]
        loss = joint_loss(far, target, ones, SIZE, gate=0.1, hard=False)
        loss.backward()
        assert float(loss.detach()) == 0 and far[0].grad is not None and (far[0].grad == 0).all()

    def test_missing_joints_add_nothing_but_count_in_the_mean(self) -> None:
        target, weight = one_label()
        weight[..., 3:] = 0
        people = (target[0] + 9.6).requires_grad_()
        loss = joint_loss([people], target, weight, (960, 960), gate=0.1, hard=False)
        loss.backward()
        assert float(loss.detach()) == pytest.approx(0.01 * 3 / 15)
        assert people.grad is not None
        assert (people.grad[..., 3:, :] == 0).all() and (people.grad[..., :3, :] > 0).all()

    def test_loss_is_zero_without_predictions_or_labels(self) -> None:
        target, weight = one_label()
        no_people = [torch.zeros(1, 0, 15, 2, requires_grad=True)]
        assert float(joint_loss(no_people, target, weight, SIZE, gate=0.1, hard=True).detach()) == 0
        assert float(joint_loss([target[0]], target, weight * 0, SIZE, gate=0.1, hard=True)) == 0


class TestMatchPeople:
    def test_distances_are_capped_and_unmatched_labels_cost_the_gate(self) -> None:
        labels = torch.zeros(1, 2, 3, 2)
        labels[0, 1] = 500
        people = torch.zeros(1, 1, 3, 2)
        people[0, 0, 0, 0], people[0, 0, 1, 0] = 3, 400
        out = match_people(people, labels, torch.ones(1, 2, 3), torch.tensor([50.0]))
        assert out[0, 0].tolist() == [3, 50, 0] and out[0, 1].tolist() == [50, 50, 50]


class TestPositionLosses:
    def test_root_loss_is_the_mean_square(self) -> None:
        assert float(root_loss(torch.zeros(1, 2, 2, 2), torch.full((1, 2, 2, 2), 0.5))) == 0.25

    def test_position_loss_is_in_decimetres_and_weighted(self) -> None:
        predicted = torch.tensor([[[100.0, 0, 0], [1e6, 0, 0]]], requires_grad=True)
        loss = position_loss(predicted, torch.zeros(1, 2, 3), torch.tensor([[1.0, 0.0]]))
        loss.backward()
        # Smooth L1 with beta 0.1 dm: |1| - 0.05, averaged over three coordinates.
        assert float(loss.detach()) == pytest.approx(0.95 / 3)
        assert predicted.grad is not None and math.isclose(float(predicted.grad[0, 1, 0]), 0)

    def test_triplane_loss_has_a_gradient_in_the_wrong_plane_only(self) -> None:
        """Of three planes, the one of x and z is a metre off in z for the one joint with a weight."""
        exact = torch.tensor([[[100.0, 200, 300], [0, 0, 0]]])
        planes = torch.tensor([[[[100.0, 200], [9, 9]], [[100, 1300], [9, 9]], [[200, 300], [9, 9]]]])
        planes.requires_grad_()
        loss = triplane_loss(planes, exact, torch.tensor([[1.0, 0.0]]))
        loss.backward()
        assert float(loss.detach()) == pytest.approx((10 - 0.05) / 6)
        assert planes.grad is not None and planes.grad[0, 1, 0, 1] > 0 and int((planes.grad != 0).sum()) == 1
