"""Coarser body models: whole surfaces near the original, in the same poses."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from core.body.model import BODY_TO_WORLD
from core.body.models.free import free_body
from core.body.simplify import simplified
from core.geometry.so3 import exp


@pytest.mark.slow
def test_a_coarser_model_keeps_its_surface_whole_and_takes_the_same_poses() -> None:
    model = free_body()
    coarse = simplified(model, 2600)
    assert len(coarse.template_mm) == 2600
    assert simplified(model, 2600) is coarse and simplified(model, 10_000) is model

    def irregular(faces: np.ndarray) -> int:
        """Count edges that are not those of exactly two faces."""
        edges = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), 1)
        return int((np.unique(edges, axis=0, return_counts=True)[1] != 2).sum())

    assert irregular(coarse.faces) <= irregular(model.faces), "no holes and no fins"
    assert (coarse.faces.ravel().max(), len(np.unique(coarse.faces))) == (2599, 2600)
    distance, row = cKDTree(model.template_mm).query(coarse.template_mm)
    assert (distance == 0).all(), "vertices are those of the model"

    rng = np.random.default_rng(0)
    betas = rng.normal(0, 1, (1, model.n_shape))
    rotations = exp(rng.normal(0, 0.3, (1, len(model.joints), 3)))
    rotations[:, 0] = BODY_TO_WORLD
    posed = []
    for each in (model, coarse):
        rest = each.rest(betas)
        bones = each.transforms(rest.joints_mm, rotations, np.array([[0.0, 0.0, 900.0]]))
        posed.append(each.skin(rest.vertices_mm, bones)[0][0])
    np.testing.assert_allclose(posed[1], posed[0][row], atol=0.01)
    # The surface between the vertices stays near: no vertex of the fine mesh is far from the middle of a coarse face.
    far = cKDTree(posed[1][coarse.faces].mean(1)).query(posed[0])[0]
    assert np.percentile(far, 99) < 35
