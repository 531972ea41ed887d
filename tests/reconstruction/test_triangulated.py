"""The triangulated baseline: whole takes, a frame at a time, without a camera, and the protocol that it shares."""

import dataclasses

import numpy as np
import pytest

from core.association.config import AssociationConfig
from core.errors import CoreError
from core.progress import NullReporter
from core.reconstruction.reconstructor import OnlineReconstructor, Reconstructor
from core.reconstruction.triangulated import Triangulator
from core.synthetic import people, rigs
from core.synthetic.observe import observe
from core.tracking.config import TrackingConfig
from core.types import COCO17, Skeleton


@pytest.fixture(scope="module")
def scene():
    rng = np.random.default_rng(3)
    truth, rig = people.crossing(3, 60, rng), rigs.ring_rig(5)
    return truth, rig, observe(rig, truth, 4.0, 0.05, rng)


@pytest.fixture(scope="module")
def baseline(scene):
    truth, rig, poses2d = scene
    method: Reconstructor = Triangulator()
    return method.reconstruct(rig, poses2d, truth.time_s, NullReporter())


def single(poses2d, t):
    """Detections of one frame."""
    rows = slice(t, t + 1)
    return {
        name: dataclasses.replace(pose, xy_px=pose.xy_px[rows], score=pose.score[rows], box_px=pose.box_px[rows])
        for name, pose in poses2d.items()
    }


@pytest.mark.slow
def test_a_frame_at_a_time_gives_the_people_and_identities_of_the_whole_take(scene, baseline):
    truth, rig, poses2d = scene
    online: OnlineReconstructor = Triangulator().online(rig, COCO17)
    identity = {}
    for t, now in enumerate(truth.time_s.tolist()):
        found = online.update(now, single(poses2d, t))
        assert found.time_s == now and len(found.ids) == len(found.xyz_mm) == len(found.score)
        for q in np.flatnonzero(baseline.present[t]):
            known = np.isfinite(baseline.xyz_mm[t, q]).all(-1)
            apart = np.nan_to_num(np.abs(found.xyz_mm[:, known] - baseline.xyz_mm[t, q, known]), nan=np.inf)
            apart = apart.max((1, 2))
            # Points are refined one by one, so that the rest of the take changes nothing but rounding.
            assert apart.min() < 1e-6
            identity.setdefault(q, set()).add(int(found.ids[apart.argmin()]))
    assert sorted(len(ids) for ids in identity.values()) == [1, 1, 1]
    assert len(set.union(*identity.values())) == 3


@pytest.mark.slow
def test_an_excluded_camera_is_not_used(scene):
    truth, rig, poses2d = scene
    out = rig.names[1]
    rest = rig.subset([name for name in rig.names if name != out])
    without = Triangulator().reconstruct(rig, poses2d, truth.time_s, NullReporter(), exclude_camera=out)
    expected = Triangulator().reconstruct(rest, poses2d, truth.time_s, NullReporter())
    np.testing.assert_array_equal(without.xyz_mm, expected.xyz_mm)
    with pytest.raises(CoreError, match="cam9"):
        Triangulator().reconstruct(rig, poses2d, truth.time_s, NullReporter(), exclude_camera="cam9")


def test_settings_are_those_that_a_baseline_was_made_with(scene):
    truth, rig, poses2d = scene
    settings = Triangulator(
        association=AssociationConfig(gate_mm=90.0), tracking=TrackingConfig(smoothing="one_euro", max_gap_s=0.2)
    )
    result = settings.reconstruct(rig, poses2d, truth.time_s, NullReporter())
    assert Triangulator.from_baseline(result.provenance) == settings
    assert result.provenance["smoothing"]["smoothing"] == "one_euro"


@pytest.mark.slow
def test_the_skeleton_is_that_of_the_2d_poses(scene, baseline):
    """A skeleton that the program does not know, COCO-17 in reverse order, gives the same people."""
    truth, rig, poses2d = scene
    J = len(COCO17)
    other = Skeleton(
        name="reversed",
        joints=COCO17.joints[::-1],
        bones=tuple((J - 1 - a, J - 1 - b) for a, b in COCO17.bones),
        root=None,
        mirror=tuple(J - 1 - j for j in COCO17.mirror[::-1]),
    )
    backwards = {
        name: dataclasses.replace(pose, skeleton=other, xy_px=pose.xy_px[:, :, ::-1], score=pose.score[:, :, ::-1])
        for name, pose in poses2d.items()
    }
    found = Triangulator().reconstruct(rig, backwards, truth.time_s, NullReporter())
    assert found.skeleton is other
    assert found.person_ids == baseline.person_ids
    np.testing.assert_allclose(found.xyz_mm[:, :, ::-1], baseline.xyz_mm, atol=1e-5)
