"""Far cameras in 4K, some of which are slightly turned against what the rig says."""

import dataclasses

import numpy as np
import pytest

from core.association.bias import RIG_WARNING, camera_biases, widen_gates
from core.association.config import AssociationConfig
from core.association.match import associate_take, match_take
from core.association.views import stack_views
from core.geometry.so3 import exp
from core.progress import NullReporter
from core.synthetic import people, rigs
from core.synthetic.observe import observe
from core.types import CameraRig

CONFIG = AssociationConfig()


def scene(turned_px, n_cameras=4, n_frames=30):
    """The rig with its first camera turned so that all moves sideways by `turned_px`, detections, and the truth."""
    rng = np.random.default_rng(1)
    truth = people.walkers(1, n_frames, rng, fps=10.0, half_size_mm=3000.0)
    rig = rigs.ring_rig(n_cameras, radius_mm=24000.0, size_px=(3840, 2160), fov_deg=30.0)
    poses2d = observe(rig, truth, 10.0, 0.0, rng)
    R = exp(np.array([0.0, turned_px / rig[0].K[0, 0], 0.0]))
    first = dataclasses.replace(rig[0], R=R @ rig[0].R, t_mm=R @ rig[0].t_mm)
    return CameraRig(cameras=(first, *rig.cameras[1:])), poses2d, truth


def biases_of(rig, poses2d, truth):
    reporter = NullReporter()
    views = stack_views(rig, poses2d, CONFIG)
    return views, camera_biases(views, match_take(views, truth.time_s, CONFIG, reporter))


def test_a_right_rig_keeps_its_gates():
    views, biases = biases_of(*scene(0.0))
    assert np.linalg.norm(biases.median_px, axis=-1).max() < 4.0
    assert widen_gates(views, biases, CONFIG) is views
    assert not biases.warning


def test_the_bias_is_the_shift_of_a_turned_camera_and_widens_its_gate():
    views, biases = biases_of(*scene(40.0))
    assert biases.median_px[0] == pytest.approx((-40.0, 0.0), abs=4.0)
    widened = widen_gates(views, biases, CONFIG)
    # 40 px in 4K are 20 px at 1920: 15 + 2 (20 - 5).
    assert widened.geometry.gate_px[0] / 2 == pytest.approx(45.0, abs=5.0)
    # The camera opposite cannot know that it is the first one; those at the sides stay out of it.
    assert widened.geometry.gate_px[[1, 3]] == pytest.approx(30.0)


def test_a_large_bias_is_stored():
    rig, poses2d, truth = scene(40.0)
    found = associate_take(rig, poses2d, truth.time_s, CONFIG, NullReporter())
    text = found.provenance[RIG_WARNING]
    assert "cam01 (" in text
    assert "px) are offset from those of the other cameras" in text
    assert "cam02" not in text
    assert set(found.provenance["camera_bias_px"]) == set(rig.names)


def test_two_cameras_and_takes_without_people_have_no_bias():
    rig, poses2d, truth = scene(40.0, n_cameras=2)
    _, biases = biases_of(rig, poses2d, truth)
    assert np.isnan(biases.median_px).all()
    assert not biases.certain_px.any()
    views, _ = biases_of(*scene(0.0))
    nobody = camera_biases(views, np.zeros((30, 0, 4), np.int64))
    assert not nobody.certain_px.any()
    assert not nobody.warning
