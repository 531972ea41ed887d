"""Every data set is read exactly from the layout of its authors; damaged ones are refused with a remedy."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

sys.path.insert(0, str(Path(__file__).parent))

import layouts
from layouts import WRITERS, Written, panoptic_body, write_bodies

from core.errors import CoreError
from core.evaluation.datasets import DATA_SETS, read_dataset
from core.evaluation.protocols import PROTOCOLS
from core.evaluation.published import published_results
from core.geometry import project_rig
from core.synthetic.observe import observe
from core.synthetic.people import walkers
from core.synthetic.rigs import ring_rig
from core.types import COCO17, PANOPTIC15, SHELF14, Pose3DSequence

POINTS = np.random.default_rng(0).uniform((-1200, -1200, 100), (1200, 1200, 1800), (50, 3))


@pytest.fixture(params=list(DATA_SETS))
def written(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Written]:
    return request.param, WRITERS[request.param](tmp_path / "some_sequence")


def test_every_data_set_has_a_protocol_published_results_and_a_test() -> None:
    assert set(DATA_SETS) == set(WRITERS) == set(PROTOCOLS)
    for name in DATA_SETS:
        assert DATA_SETS.get(name).name == name and DATA_SETS.get(name).title
        assert published_results(name).rows


class TestContract:
    """Contract of every data set in the registry."""

    def test_it_is_recognised_by_its_files_and_by_no_other_reader(self, written: tuple[str, Written]) -> None:
        kind, layout = written
        assert [n for n in DATA_SETS if DATA_SETS.get(n).recognises(layout.folder)] == [kind]
        data = read_dataset(layout.folder)
        assert (data.kind, data.name) == (kind, "some_sequence")

    def test_cameras_project_as_the_original_ones(self, written: tuple[str, Written]) -> None:
        kind, layout = written
        rig = read_dataset(layout.folder, kind).rig
        assert rig.names == layout.rig.names
        assert [c.size_px for c in rig] == [c.size_px for c in layout.rig]
        wanted = project_rig(layout.rig, POINTS)
        assert np.isfinite(wanted).mean() > 0.8
        np.testing.assert_allclose(project_rig(rig, POINTS), wanted, atol=1e-6)

    def test_people_are_read_in_mm_with_z_up(self, written: tuple[str, Written]) -> None:
        kind, layout = written
        data = read_dataset(layout.folder, kind, "all")
        assert data.frames.tolist() == layout.all
        np.testing.assert_allclose(data.truth.xyz_mm, layout.people_mm, atol=1e-6)
        assert np.array_equal(data.truth.score > 0, np.isfinite(layout.people_mm).all(-1))

    def test_splits_are_the_published_frames(self, written: tuple[str, Written]) -> None:
        kind, layout = written
        for split in ("test", "train", "all"):
            data = read_dataset(layout.folder, kind, split)
            assert data.frames.tolist() == getattr(layout, split)
            assert data.frames[data.tested].tolist() == [f for f in layout.test if f in getattr(layout, split)]
            assert data.truth.time_s[0] == 0
            np.testing.assert_allclose(data.truth.time_s, (data.frames - data.frames[0]) / data.fps)

    def test_a_selection_of_cameras_is_read(self, written: tuple[str, Written]) -> None:
        kind, layout = written
        chosen = layout.rig.names[2:0:-1]
        assert read_dataset(layout.folder, kind, cameras=chosen).rig.names == chosen
        with pytest.raises(CoreError, match="no camera 99") as error:
            read_dataset(layout.folder, kind, cameras=("99",))
        assert layout.rig.names[0] in error.value.hint

    def test_a_missing_or_truncated_calibration_is_refused(self, written: tuple[str, Written]) -> None:
        kind, layout = written
        (path,) = layout.folder.glob("calibration_*.json")
        path.write_text(path.read_text()[:500])
        with pytest.raises(CoreError, match="not valid JSON"):
            read_dataset(layout.folder, kind)
        path.unlink()
        with pytest.raises(CoreError, match=r"has no calibration_.*json") as error:
            read_dataset(layout.folder, kind)
        assert "Unpack" in error.value.hint

    def test_another_folder_is_not_recognised(self, written: tuple[str, Written], tmp_path: Path) -> None:
        kind, _ = written
        (tmp_path / "empty").mkdir()
        for folder in (tmp_path / "empty", tmp_path / "absent"):
            with pytest.raises(CoreError) as error:
                read_dataset(folder, kind)
            assert error.value.hint

    def test_a_folder_without_images_is_read_without_them(self, written: tuple[str, Written]) -> None:
        data = read_dataset(written[1].folder)
        assert not data.images and not data.videos and not data.poses2d


def test_unknown_kinds_and_folders_of_folders(tmp_path: Path) -> None:
    with pytest.raises(CoreError, match="shelv"):
        read_dataset(tmp_path, "shelv")
    with pytest.raises(CoreError, match="not a known data set"):
        read_dataset(tmp_path)
    layouts.write_panoptic(tmp_path / "160906_pizza1")
    with pytest.raises(CoreError, match="contains folders of data sets") as error:
        read_dataset(tmp_path)
    assert "160906_pizza1" in error.value.hint


class TestPanoptic:
    def test_axes_are_those_of_the_toolbox(self, tmp_path: Path) -> None:
        """x' = x, y' = z, z' = -y, and centimetres become millimetres."""
        layout = layouts.write_panoptic(tmp_path / "seq")
        joints = [[1.0, -2.0, 3.0, 0.5]] * 19
        write_bodies(layout.folder, layout.test[0], [{"id": 0, "joints19": np.ravel(joints).tolist()}])
        data = read_dataset(layout.folder)
        assert data.truth.xyz_mm[0, 0, 0].tolist() == [10.0, 30.0, 20.0]
        assert data.truth.score[0, 0, 0] == 0.5

    def test_joints_of_low_confidence_are_missing(self, tmp_path: Path) -> None:
        layout = layouts.write_panoptic(tmp_path / "seq")
        write_bodies(layout.folder, layout.test[1], [panoptic_body(3, layout.people_mm[12, 0], (5, 8))])
        found = read_dataset(layout.folder).truth
        known = np.isfinite(found.xyz_mm[1, 0]).all(-1)
        assert np.flatnonzero(~known).tolist() == [5, 8], "confidence 0.1 is not above 0.1"
        assert found.score[1, 0, 5] == 0

    def test_bodies_without_a_mid_hip_and_frames_without_people_are_dropped(self, tmp_path: Path) -> None:
        layout = layouts.write_panoptic(tmp_path / "seq")
        a, b = layout.people_mm[12]
        write_bodies(layout.folder, layout.test[0], [])
        write_bodies(layout.folder, layout.test[1], [panoptic_body(3, a, (2,)), panoptic_body(7, b)])
        write_bodies(layout.folder, layout.test[2], [panoptic_body(3, a, (2,))])
        data = read_dataset(layout.folder)
        assert data.frames.tolist() == [layout.test[1], layout.test[3]]
        assert data.truth.person_ids == (3, 7)
        assert data.truth.present.tolist() == [[False, True], [True, True]]
        everything = read_dataset(layout.folder, split="all")
        assert len(everything.frames) == 40 and not everything.truth.present[0].any()
        assert everything.frames[everything.tested].tolist() == data.frames.tolist()

    def test_identity_is_kept_and_a_duplicate_id_is_two_people(self, tmp_path: Path) -> None:
        layout = layouts.write_panoptic(tmp_path / "seq")
        assert read_dataset(layout.folder).truth.person_ids == (3, 7)
        a, b = layout.people_mm[0]
        write_bodies(layout.folder, layout.test[0], [panoptic_body(3, a), panoptic_body(3, b)])
        assert read_dataset(layout.folder).truth.present[0].sum() == 2

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ('{"bodies": [{"joints19"', "not valid JSON"),
            ("[]", "no list of bodies"),
            ('{"bodies": [{"id": 1}]}', "without 19 joints"),
            ('{"bodies": [{"id": 1, "joints19": [1, 2, 3]}]}', "without 19 joints"),
            ('{"bodies": [{"id": 1, "joints19": ["a"]}]}', "without 19 joints"),
        ],
    )
    def test_damaged_files_are_named(self, content: str, words: str, tmp_path: Path) -> None:
        layout = layouts.write_panoptic(tmp_path / "seq")
        path = layout.folder / "hdPose3d_stage1_coco19" / f"body3DScene_{layout.test[1]:08d}.json"
        path.write_text(content)
        with pytest.raises(CoreError, match=words) as error:
            read_dataset(layout.folder)
        assert path.name in error.value.message

    def test_a_renamed_folder_keeps_its_calibration(self, tmp_path: Path) -> None:
        layout = layouts.write_panoptic(tmp_path / "seq")
        other = layout.folder.rename(tmp_path / "renamed")
        assert read_dataset(other).rig.names == layout.rig.names
        (other / "calibration_third.json").write_text("{}")
        with pytest.raises(CoreError, match="several files"):
            read_dataset(other)

    def test_a_sequence_without_people_is_refused(self, tmp_path: Path) -> None:
        layout = layouts.write_panoptic(tmp_path / "seq", np.zeros((3, 0, 15, 3)))
        with pytest.raises(CoreError, match="no people in the selected"):
            read_dataset(layout.folder)


class TestActors:
    def test_short_and_foreign_files_are_refused(self, tmp_path: Path) -> None:
        rig = layouts.renamed(ring_rig(3), ["0", "1", "2"])
        layouts.write_actors(tmp_path / "Shelf", "shelf", np.zeros((20, 1, 14, 3)), rig)
        with pytest.raises(CoreError, match="20 frames; 601 are needed"):
            read_dataset(tmp_path / "Shelf")
        path = tmp_path / "Shelf" / "actorsGT.mat"
        for value in ({"other": np.zeros(3)}, {"actor3D": np.zeros((0, 0))}, {"actor3D": np.full((1, 1), "x", object)}):
            savemat(path, value)
            with pytest.raises(CoreError, match=r"actorsGT.mat"):
                read_dataset(tmp_path / "Shelf")
        path.write_bytes(path.read_bytes()[:150])
        with pytest.raises(CoreError, match="does not contain actors"):
            read_dataset(tmp_path / "Shelf")
        path.unlink()
        with pytest.raises(CoreError, match=r"no actorsGT\.mat"):
            read_dataset(tmp_path / "Shelf")

    def test_absent_actors_may_be_empty_or_nan(self, tmp_path: Path) -> None:
        layout = WRITERS["shelf"](tmp_path / "Shelf")
        cells = np.empty((1, 3), object)
        for a, absent in enumerate((np.zeros((0, 0)), np.full((14, 3), np.nan), np.array([[np.nan]]))):
            frames = np.empty((640, 1), object)
            frames[:, 0] = [absent if f % 2 else np.ones((14, 3)) for f in range(640)]
            cells[0, a] = frames
        savemat(layout.folder / "actorsGT.mat", {"actor3D": cells})
        truth = read_dataset(layout.folder).truth
        assert truth.skeleton == SHELF14 and truth.person_ids == (1, 2, 3)
        assert np.array_equal(truth.present, np.tile((np.arange(300, 601) % 2 == 0)[:, None], (1, 3)))
        assert truth.xyz_mm[0, 0, 0].tolist() == [1000.0] * 3

    @pytest.mark.slow
    @pytest.mark.parametrize("protocol", [2, 4, 5])
    def test_2d_poses_of_the_data_set_are_read(self, protocol: int, tmp_path: Path) -> None:
        layout = WRITERS["campus"](tmp_path / "CampusSeq1")
        frames = layout.test[:-1]  # the file has nothing of the last frame
        people = walkers(2, len(frames), np.random.default_rng(1))
        seen = observe(layout.rig, people, 2.0, 0.2, np.random.default_rng(2))
        path = layout.folder / "pred_campus_maskrcnn_hrnet_coco.pkl"
        layouts.write_predicted_poses(path, seen, frames, protocol)
        data = read_dataset(layout.folder)
        assert data.estimator == "maskrcnn_hrnet" and set(data.poses2d) == {"0", "1", "2"}
        for name, pose in data.poses2d.items():
            assert pose.skeleton == COCO17 and pose.n_frames == len(layout.test)
            assert not pose.present[-1].any()
            for t in (0, 50, len(frames) - 1):
                there, expected = pose.present[t], seen[name].present[t]
                np.testing.assert_array_equal(pose.xy_px[t][there], seen[name].xy_px[t][expected])
                np.testing.assert_array_equal(pose.score[t][there], seen[name].score[t][expected])
        path.write_bytes(path.read_bytes()[:2000])
        with pytest.raises(CoreError, match="cannot be read"):
            read_dataset(layout.folder)


class TestImages:
    def test_images_are_found_by_their_numbers(self, tmp_path: Path) -> None:
        layout = layouts.write_panoptic(tmp_path / "seq")
        for name in layout.rig.names[:2]:
            for frame in layout.test[1:]:
                (layout.folder / "hdImgs" / name).mkdir(parents=True, exist_ok=True)
                (layout.folder / "hdImgs" / name / f"{name}_{frame:08d}.jpg").touch()
        (layout.folder / "hdVideos").mkdir()
        (layout.folder / "hdVideos" / "hd_00_12.mp4").touch()
        (layout.folder / "hdVideos" / "hd_00_03.mp4").touch()
        data = read_dataset(layout.folder)
        assert set(data.images) == {"00_03", "00_06"}
        first, second, *_ = data.images["00_06"]
        assert first is None and second is not None and second.name == f"00_06_{layout.test[1]:08d}.jpg"
        assert set(data.videos) == {"00_12"}, "single images go before a video"
        assert any("00_03 lacks the images of 1 of 4" in note for note in data.notes)

    def test_images_of_shelf_and_campus_are_found(self, tmp_path: Path) -> None:
        for kind, pattern in (("shelf", "Camera1/img_{:06d}.png"), ("campus", "Camera1/campus4-c1-{:05d}.png")):
            layout = WRITERS[kind](tmp_path / kind)
            (layout.folder / "Camera1").mkdir()
            (layout.folder / pattern.format(layout.test[3])).touch()
            data = read_dataset(layout.folder)
            assert [p is not None for p in data.images["1"][:5]] == [False, False, False, True, False]


def test_ground_truth_of_another_length_is_refused(tmp_path: Path) -> None:
    import dataclasses

    data = read_dataset(layouts.write_panoptic(tmp_path / "seq").folder)
    short = Pose3DSequence(
        skeleton=PANOPTIC15, time_s=[0.0], xyz_mm=np.zeros((1, 0, 15, 3)), score=np.zeros((1, 0, 15)), person_ids=()
    )
    with pytest.raises(CoreError, match="annotated frames differ"):
        dataclasses.replace(data, truth=short)
