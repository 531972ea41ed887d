import numpy as np
import pytest

from core.association.chance import people_by_chance
from core.association.config import AssociationConfig
from core.errors import CoreError
from core.progress import NullReporter
from core.synthetic import people, rigs
from core.synthetic.observe import observe


def by_chance(rig, poses2d, n_frames=None, seed=0, **settings):
    rng = np.random.default_rng(seed)
    return people_by_chance(rig, poses2d, AssociationConfig(**settings), rng, NullReporter(), n_frames)


@pytest.mark.slow
def test_moving_people_hardly_agree_by_chance_unless_everything_agrees():
    rng = np.random.default_rng(1)
    truth, rig = people.walkers(2, 100, rng, fps=2.0), rigs.ring_rig(5)
    poses2d = observe(rig, truth, 3.0, 0.0, rng)
    strict, loose = by_chance(rig, poses2d), by_chance(rig, poses2d, gate_mm=400.0)
    assert strict < 0.35  # of two people
    assert loose > 2 * strict


def test_people_who_stand_still_agree_at_any_time():
    rng = np.random.default_rng(2)
    moving, rig = people.walkers(2, 1, rng), rigs.ring_rig(4)
    still = type(moving)(
        skeleton=moving.skeleton,
        time_s=np.arange(20) / 10,
        xyz_mm=np.repeat(moving.xyz_mm, 20, axis=0),
        score=np.repeat(moving.score, 20, axis=0),
        person_ids=moving.person_ids,
    )
    assert by_chance(rig, observe(rig, still, 2.0, 0.0, rng), n_frames=30) == 2.0


def test_each_camera_needs_a_frame_of_its_own():
    rng = np.random.default_rng(3)
    truth, rig = people.walkers(1, 3, rng), rigs.ring_rig(4)
    with pytest.raises(CoreError, match="3 frames are too few"):
        by_chance(rig, observe(rig, truth, 1.0, 0.0, rng))
