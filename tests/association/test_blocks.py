"""Long takes are processed in blocks of frames, from the disk, with the same result as in one piece."""

import numpy as np
import pytest

from core.association import views as module
from core.association.bias import camera_biases
from core.association.config import AssociationConfig
from core.association.match import associate_take, match_take
from core.association.robust import triangulate_people
from core.association.views import stack_views
from core.errors import CoreError
from core.progress import NullReporter
from core.reconstruction.triangulated import Triangulator
from core.synthetic import people, rigs
from core.synthetic.observe import observe
from core.types.pose2d import StoredPose2D

CONFIG = AssociationConfig()


@pytest.fixture
def scene():
    rng = np.random.default_rng(5)
    truth, rig = people.walkers(3, 50, rng), rigs.ring_rig(5)
    return rig, observe(rig, truth, 4.0, 0.1, rng, false_people=0.3), truth.time_s


@pytest.fixture
def stored(scene, tmp_path):
    """Return the detections as they are read from files."""
    out = {}
    for name, pose in scene[1].items():
        pose.save(tmp_path / f"{name}.npz")
        out[name] = StoredPose2D.unpack(tmp_path / f"{name}.npz", tmp_path / f"unpacked_{name}")
    return out


def test_stored_poses_are_the_saved_ones(scene, stored, tmp_path):
    rows = np.array([3, 4, 49])
    for name, pose in scene[1].items():
        found, expected = stored[name].select(rows), pose.select(rows)
        assert (stored[name].n_frames, stored[name].skeleton) == (50, pose.skeleton)
        for array in ("xy_px", "score", "box_px"):
            np.testing.assert_array_equal(getattr(found, array), getattr(expected, array))
    (tmp_path / "bad.npz").write_bytes(b"PK no poses")
    with pytest.raises(CoreError, match=r"bad.npz does not contain 2D poses"):
        StoredPose2D.unpack(tmp_path / "bad.npz", tmp_path / "bad")


@pytest.mark.parametrize("block", [7, 20, 49])
def test_blocks_from_the_disk_give_the_result_of_one_piece(scene, stored, monkeypatch, block):
    rig, poses2d, time_s = scene
    whole = stack_views(rig, poses2d, CONFIG)
    members = match_take(whole, time_s, CONFIG, NullReporter())
    expected = triangulate_people(whole, members)
    biases = camera_biases(whole, members)
    in_memory = Triangulator().reconstruct(rig, poses2d, time_s, NullReporter())
    monkeypatch.setattr(module, "_BLOCK_FRAMES", block)
    streamed = module.StreamedViews.build(rig, stored, CONFIG)
    assert len(streamed) == 50 and len(list(streamed.blocks())) == -(-50 // block)
    np.testing.assert_array_equal(match_take(streamed, time_s, CONFIG, NullReporter()), members)
    np.testing.assert_allclose(camera_biases(streamed, members).median_px, biases.median_px, rtol=1e-9)
    found = triangulate_people(streamed, members)
    assert np.isfinite(expected.xyz_mm).any()
    np.testing.assert_allclose(found.xyz_mm, expected.xyz_mm, atol=1e-6)
    np.testing.assert_allclose(found.score, expected.score, atol=1e-9)
    np.testing.assert_allclose(found.covariance_mm2, expected.covariance_mm2, rtol=1e-5)
    sequence = Triangulator().reconstruct(rig, stored, time_s, NullReporter())
    np.testing.assert_allclose(sequence.xyz_mm, in_memory.xyz_mm, atol=1e-6)


def test_the_poses_of_a_sequence_are_held_once(scene):
    """A copy for every step would not fit into memory for a long take."""
    rig, poses2d, time_s = scene
    sequence = associate_take(rig, poses2d, time_s, CONFIG, NullReporter())
    again = type(sequence)(
        skeleton=sequence.skeleton,
        time_s=sequence.time_s,
        xyz_mm=sequence.xyz_mm,
        score=sequence.score,
        person_ids=sequence.person_ids,
        covariance_mm2=sequence.covariance_mm2,
    )
    assert again.xyz_mm is sequence.xyz_mm and again.covariance_mm2 is sequence.covariance_mm2
    writable = sequence.xyz_mm.copy()
    copied = type(sequence)(
        skeleton=sequence.skeleton,
        time_s=time_s,
        xyz_mm=writable,
        score=sequence.score,
        person_ids=sequence.person_ids,
    )
    writable[:] = 0
    assert copied.xyz_mm is not writable and not (copied.xyz_mm == 0).all()
