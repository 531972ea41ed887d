"""Scenes of the benchmark: measured errors, furniture, reproducibility."""

from __future__ import annotations

import numpy as np
import pytest

from core.errors import CoreError
from core.geometry import project
from core.synthetic.estimator_errors import ErrorBank
from core.synthetic.furniture import Furniture
from core.synthetic.observe import observe
from core.synthetic.people import poses, walkers
from core.synthetic.rigs import camera, ring_rig
from core.synthetic.scenes import SCENES, build_scene


class TestErrorBank:
    def test_splits_are_disjoint(self) -> None:
        whole, train, test = (ErrorBank.load("movenet", part) for part in ("all", "train", "test"))
        assert len(train.score) + len(test.score) == len(whole.score) and len(train.score) and len(test.score)
        firsts = [{tuple(np.nan_to_num(s[:3]).ravel()) for s in bank.score} for bank in (train, test)]
        assert not firsts[0] & firsts[1]

    def test_errors_are_correlated_in_time_and_have_heavy_tails(self) -> None:
        error, score = ErrorBank.load("movenet").draw(40, 30.0, np.random.default_rng(0), (50,))
        assert error.shape == (50, 40, 17, 2) and score.shape == (50, 40, 17)
        assert np.isnan(error).any() and ((score > 0) == np.isfinite(error).all(-1)).all()
        now, later = error[:, :-1], error[:, 1:]
        both = np.isfinite(now) & np.isfinite(later)
        assert np.corrcoef(now[both], later[both])[0, 1] > 0.5
        length = np.linalg.norm(error, axis=-1)
        assert np.nanpercentile(length, 99) > 8 * np.nanmedian(length)

    def test_an_unknown_estimator_is_refused(self) -> None:
        with pytest.raises(CoreError, match="movenet"):
            ErrorBank.load("other")

    def test_errors_scale_with_the_person(self) -> None:
        """People further away are smaller in the image, and so are their errors."""
        people = walkers(1, 30, np.random.default_rng(0))
        error = []
        for radius in (3000.0, 6000.0):
            rig = ring_rig(3, radius_mm=radius)
            seen = observe(rig, people, miss=0, rng=np.random.default_rng(1), errors=ErrorBank.load("movenet"))
            apart = [
                np.nanmedian(np.linalg.norm(seen[c.name].xy_px[:, 0] - project(c, people.xyz_mm[:, 0]), axis=-1))
                for c in rig
            ]
            error.append(np.mean(apart))
        assert 1.4 < error[0] / error[1] < 2.8


class TestFurniture:
    def test_boxes_occlude_points_behind_them(self) -> None:
        box = Furniture(np.array([[-500.0, -500, 0]]), np.array([[500.0, 500, 1000]]))
        eye = camera("eye", (-3000, 0, 500), (0, 0, 500))
        points = np.array([[2000.0, 0, 500], [2000, 0, 3000], [-1500, 0, 500], [2000, 2500, 500]])
        assert box.occludes(eye, points).tolist() == [True, False, False, False]

    def test_boxes_stand_on_the_floor(self) -> None:
        pieces = Furniture.scatter(5, 2000.0, np.random.default_rng(0))
        assert (pieces.low_mm[:, 2] == 0).all() and (pieces.high_mm > pieces.low_mm).all()


class TestScenes:
    @pytest.mark.parametrize("name", list(SCENES))
    def test_every_scene_can_be_built(self, name: str) -> None:
        scene, again = (build_scene(name, 1, 6) for _ in range(2))
        assert len(scene.rig) == SCENES[name].cameras and scene.people.xyz_mm.shape[:2] == (6, SCENES[name].people)
        first = scene.rig.names[0]
        assert np.array_equal(scene.poses2d[first].xy_px, again.poses2d[first].xy_px, equal_nan=True)
        assert (scene.poses2d[first].score > 0).any()

    def test_people_with_recorded_motion_stay_apart(self) -> None:
        motion = {"walk": walkers(1, 80, np.random.default_rng(0)).xyz_mm[:, 0] / 1000}
        scene = build_scene("group", 2, 50, motion)
        hips = scene.people.xyz_mm[:, :, 11:13].mean(2)[..., :2]
        apart = np.linalg.norm(hips[:, :, None] - hips[:, None], axis=-1) + 1e9 * np.eye(4)
        assert apart.min() > 500

    def test_an_unknown_scene_is_refused(self) -> None:
        with pytest.raises(CoreError, match="group"):
            build_scene("grup", 1)


class TestPostures:
    def test_poses_are_plausible(self) -> None:
        xyz = poses(3000, np.random.default_rng(0))
        shank = np.linalg.norm(xyz[:, 13] - xyz[:, 15], axis=-1)
        other = np.linalg.norm(xyz[:, 14] - xyz[:, 16], axis=-1)
        np.testing.assert_allclose(shank, other, rtol=1e-6)  # Both sides are equal.
        assert shank.min() > 150 and shank.max() < 650
        assert xyz[..., 2].min() > 0  # No joint is below the floor.
        assert 0.02 < (xyz[..., 2].min(1) > 150).mean() < 0.1  # Some people are in the air.
        assert np.abs(xyz[:, 11:13, :2].mean(1)).max() < 1e-6
