import numpy as np

from core.association.config import AssociationConfig
from core.association.limits import PlaceLimits
from core.association.match import associate_take
from core.geometry.accuracy import expected_error_mm
from core.progress import NullReporter
from core.synthetic import people, rigs
from core.synthetic.observe import observe
from core.types import CameraRig

CONFIG = AssociationConfig()
UHD = (3840, 2160)


def person_at(x_mm):
    return people.walkers(1, 1, np.random.default_rng(0), half_size_mm=10.0).xyz_mm[0] + (x_mm, 0.0, 0.0)


def test_limits_close_to_the_cameras_are_the_settings():
    limits = PlaceLimits(rigs.ring_rig(4), CONFIG)
    near = np.concatenate([person_at(0.0), person_at(1500.0)])
    assert (limits.at(near)[0] == CONFIG.merge_mm).all()
    assert (limits.at(near)[1] == CONFIG.max_bone_mm).all()
    unseen = np.stack([person_at(1e6)[0], np.full((17, 3), np.nan)])
    assert (limits.at(unseen)[1] == CONFIG.max_bone_mm).all()


def test_limits_grow_with_the_expected_error():
    # Four cameras 50 m away, all on one side.
    rig = CameraRig(cameras=rigs.ring_rig(24, radius_mm=50000.0, size_px=UHD, fov_deg=30.0).cameras[:4])
    error = expected_error_mm(rig, np.array([0.0, 0.0, 900.0]))
    assert error > 120.0
    limits = PlaceLimits(rig, CONFIG)
    assert limits.at(person_at(0.0))[1][0] == max(
        CONFIG.max_bone_mm, 8 * expected_error_mm(rig, np.zeros(3) + (0, 0, 1000))
    )
    assert limits.at(person_at(0.0))[0][0] > CONFIG.merge_mm


def test_far_people_are_found_with_long_bones():
    rng = np.random.default_rng(2)
    truth = people.walkers(2, 16, rng, fps=2.0, half_size_mm=3000.0)
    rig = CameraRig(cameras=rigs.ring_rig(30, radius_mm=60000.0, size_px=UHD, fov_deg=30.0).cameras[:5])
    poses2d = observe(rig, truth, 20.0, 0.0, rng)
    found = associate_take(rig, poses2d, truth.time_s, CONFIG, NullReporter())
    bones = truth.skeleton.bone_lengths(found.xyz_mm)
    assert (found.present.sum(1) == 2).mean() > 0.9
    # With the limits of near people, those with many bones like these are discarded.
    assert (bones > CONFIG.max_bone_mm).any()
