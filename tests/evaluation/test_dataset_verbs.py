"""import-dataset and evaluate-dataset: a data set becomes a take, and results are evaluated on its ground truth."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "session"))

import layouts
import videos

from core.cli import main
from core.errors import CancelledError, CoreError
from core.evaluation.datasets import read_dataset
from core.files import read_json
from core.pipelines.verbs import verb
from core.progress import RecordingReporter
from core.session import BASELINE, Session
from core.session.video import VideoReader
from core.synthetic.observe import observe
from core.types import COCO17, PANOPTIC15, Pose3DSequence


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session.create(tmp_path / "session")


def run(session: Session, what: str, reporter: RecordingReporter | None = None, /, **values: Any) -> dict[str, Any]:
    return verb(what)(session, values, session.new_run(what), reporter or RecordingReporter())


def predicted(dataset: layouts.Written, numbers: list[int], fps: float, shift_mm: float = 20.0) -> Pose3DSequence:
    """Return the true people of the Panoptic frames, shifted."""
    xyz = dataset.people_mm[np.array(numbers) - dataset.all[0]] + [shift_mm, 0, 0]
    return Pose3DSequence(
        skeleton=PANOPTIC15,
        time_s=(np.array(numbers) - numbers[0]) / fps,
        xyz_mm=xyz,
        score=np.ones(xyz.shape[:-1]),
        person_ids=(1, 2),
    )


def with_poses2d(dataset: layouts.Written, kind: str, coco: np.ndarray) -> dict[str, Any]:
    """Write 2D poses of the test frames, observed from the people of the ground truth."""
    xyz = coco[dataset.test]
    people = Pose3DSequence(
        skeleton=COCO17,
        time_s=np.arange(len(xyz)) / 25,
        xyz_mm=np.where(np.isfinite(dataset.people_mm[dataset.test][:, :, :1]).all(-1, keepdims=True), xyz, np.nan),
        score=np.ones(xyz.shape[:-1]),
        person_ids=(1, 2),
    )
    seen = observe(dataset.rig, people, 0.3, 0.0, np.random.default_rng(0), joint_miss=0.0)
    layouts.write_predicted_poses(dataset.folder / f"pred_{kind}_maskrcnn_hrnet_coco.pkl", seen, dataset.test)
    return dict(seen)


class TestImport:
    def test_images_become_videos_and_the_ground_truth_is_stored_with_the_take(
        self, session: Session, tmp_path: Path
    ) -> None:
        dataset = layouts.write_panoptic(tmp_path / "160906_pizza1", size_px=(192, 108))
        for name in dataset.rig.names:
            for frame in dataset.test:
                if (name, frame) != ("00_12", dataset.test[2]):
                    path = dataset.folder / "hdImgs" / name / f"{name}_{frame:08d}.jpg"
                    layouts.write_image(path, videos.image(frame, 192, 108))
        result = run(session, "import-dataset", folder=str(dataset.folder))
        assert (result["take"], result["frames"], result["tested"]) == ("160906_pizza1", 4, 4)
        take = session.take("160906_pizza1")
        rig = session.rig_for(take)
        assert rig.names == dataset.rig.names and rig["00_03"].size_px == (192, 108)
        times = take.timeline()
        np.testing.assert_allclose(times.time_s, np.arange(4) * 12 / 29.97, atol=1e-8)
        assert times.frame_index[:, 2].tolist() == [0, 1, -1, 2] and times.frame_index[:, 0].tolist() == [0, 1, 2, 3]
        with VideoReader(take.video_path("00_12")) as video:
            assert [videos.number_in(video.read(i)) for i in range(3)] == [dataset.test[i] for i in (0, 1, 3)]
        assert take.manifest.fps == pytest.approx(29.97 / 12)
        assert any("00_12 lacks" in note for note in result["notes"])
        truth = take.truth
        assert truth is not None
        np.testing.assert_allclose(truth.xyz_mm, dataset.people_mm[::12], atol=1e-6)
        assert truth.provenance["data_set"]["frames"] == dataset.test

    def test_videos_are_copied_and_indexed_by_frame_number(self, session: Session, tmp_path: Path) -> None:
        dataset = layouts.write_panoptic(tmp_path / "seq", size_px=(192, 64), first=10)
        for name in dataset.rig.names[:3]:
            videos.write_video(dataset.folder / "hdVideos" / f"hd_{name}.mp4", 40 if name == "00_12" else 60)
        result = run(session, "import-dataset", folder=str(dataset.folder), name="walk")
        take = session.take("walk")
        assert take.cameras == ("00_03", "00_06", "00_12")
        assert any("no images of 00_13, 00_23" in note for note in result["notes"])
        assert take.timeline().frame_index[:, 0].tolist() == dataset.test == [10, 22, 34, 46]
        assert take.timeline().frame_index[:, 2].tolist() == [10, 22, 34, -1], "the video has ended"
        with VideoReader(take.video_path("00_06")) as video:
            assert videos.number_in(video.read(22)) == 22

    @pytest.mark.slow
    def test_frames_without_any_image_are_dropped(self, session: Session, tmp_path: Path) -> None:
        dataset = layouts.WRITERS["campus"](tmp_path / "CampusSeq1")
        with_poses2d(dataset, "campus", layouts.coco_actors(760))
        for frame in (355, 356, 700):
            for name in dataset.rig.names[:2]:
                path = dataset.folder / f"Camera{name}" / f"campus4-c{name}-{frame:05d}.png"
                layouts.write_image(path, videos.image(frame, 360, 288))
        result = run(session, "import-dataset", folder=str(dataset.folder))
        assert result["frames"] == 3 and result["estimator"] == "maskrcnn_hrnet"
        take = session.take("CampusSeq1")
        assert take.timeline().frame_index.tolist() == [[0, 0, -1], [1, 1, -1], [2, 2, -1]]
        assert take.timeline().time_s.tolist() == pytest.approx([0, 1 / 25, 345 / 25])
        own = read_dataset(dataset.folder)
        row = own.frames.tolist().index(356)
        pose = take.poses2d("maskrcnn_hrnet")["2"]
        np.testing.assert_array_equal(pose.xy_px[1], own.poses2d["2"].xy_px[row])
        truth = take.truth
        assert truth is not None
        np.testing.assert_allclose(truth.xyz_mm, dataset.people_mm[[355, 356, 700]], atol=1e-6)

    @pytest.mark.slow
    def test_a_second_sequence_needs_the_same_cameras(self, session: Session, tmp_path: Path) -> None:
        first, second = (layouts.write_panoptic(tmp_path / name) for name in ("a", "b"))
        run(session, "import-dataset", folder=str(first.folder))
        rig = session.rig
        run(session, "import-dataset", folder=str(second.folder), split="all")
        assert session.take_names() == ["a", "b"] and rig is not None
        assert session.require_rig().digest == rig.digest
        shelf = layouts.WRITERS["shelf"](tmp_path / "Shelf")
        with pytest.raises(CoreError, match="other cameras than Shelf") as error:
            run(session, "import-dataset", folder=str(shelf.folder))
        assert "one session per calibration" in error.value.hint
        with pytest.raises(CoreError, match="already has a take 'a'"):
            run(session, "import-dataset", folder=str(first.folder), name="a")

    def test_a_cancelled_import_leaves_no_files(self, session: Session, tmp_path: Path) -> None:
        dataset = layouts.write_panoptic(tmp_path / "seq")
        with pytest.raises(CancelledError):
            run(session, "import-dataset", RecordingReporter(cancel_after=1), folder=str(dataset.folder))
        assert session.take_names() == [] and session.rig is None
        assert not session.layout.incoming.exists()

    @pytest.mark.slow
    def test_without_images_there_is_a_take_of_2d_poses(self, session: Session, tmp_path: Path) -> None:
        """It can be triangulated, and the result evaluated on its ground truth."""
        dataset = layouts.WRITERS["shelf"](tmp_path / "Shelf")
        with_poses2d(dataset, "shelf", layouts.coco_actors(640))
        result = run(session, "import-dataset", folder=str(dataset.folder), split="all")
        assert result["frames"] == 640 and result["tested"] == 301
        run(session, "triangulate", take="Shelf", estimator="maskrcnn_hrnet")
        result = run(session, "evaluate-dataset")
        assert result["frames"] == 301 and result["sequences"] == ["Shelf"] and result["missed_frames"] == 0
        assert result["metrics"]["average"] > 97


@pytest.mark.slow
class TestEvaluate:
    @pytest.mark.slow
    def test_the_baseline_of_the_2d_poses_of_a_data_set(self, session: Session, tmp_path: Path) -> None:
        dataset = layouts.WRITERS["campus"](tmp_path / "CampusSeq1")
        with_poses2d(dataset, "campus", layouts.coco_actors(760))
        result = run(session, "evaluate-dataset", folders=[str(dataset.folder)])
        assert result["data_set"] == "campus" and result["frames"] == 222
        plain, shelf = (result["metrics"][f"{head}_heads"] for head in ("plain", "shelf"))
        assert plain["average"] > 97 and plain["recall500"] > 97
        assert shelf["parts"]["torso"] > 97, "only the head is estimated differently"
        assert plain["people"] == 222 + 100
        ours = [row for row in result["table"]["rows"] if row["kind"] == "here"]
        assert [row["method"] for row in ours] == ["baseline", "baseline"]
        assert read_json(Path(result["file"]))["metrics"] == result["metrics"]

    def test_a_data_set_without_2d_poses_is_refused_with_a_hint(self, session: Session, tmp_path: Path) -> None:
        dataset = layouts.write_panoptic(tmp_path / "seq")
        with pytest.raises(CoreError, match="without 2D poses") as error:
            run(session, "evaluate-dataset", folders=[str(dataset.folder)])
        assert "import-dataset" in error.value.hint

    @pytest.mark.slow
    def test_a_take_of_all_frames_is_evaluated_on_test_frames(self, session: Session, tmp_path: Path) -> None:
        dataset = layouts.write_panoptic(tmp_path / "seq")
        run(session, "import-dataset", folder=str(dataset.folder), split="all")
        found = predicted(dataset, dataset.all, 29.97)
        wrong = found.xyz_mm + 3000.0 * (np.arange(40) % 12 != 0)[:, None, None, None]
        take = session.take("seq")
        dataclasses.replace(found, xyz_mm=wrong).save(take.layout.poses3d(BASELINE))
        result = run(session, "evaluate-dataset")
        (ours,) = (row for row in result["table"]["rows"] if row["kind"] == "here")
        assert ours["values"] == pytest.approx([100, 100, 100, 100, 100, 20], abs=0.01)
        part = np.array([0, 12, 36])  # of frame 24 there is no prediction at all
        some = dataclasses.replace(found, time_s=found.time_s[part], xyz_mm=wrong[part], score=found.score[part])
        some.save(take.layout.poses3d("part"))
        reporter = RecordingReporter()
        result = run(session, "evaluate-dataset", reporter, takes=["seq"], poses=["part"])
        assert result["missed_frames"] == 1 and result["metrics"]["recall500"] == 75
        assert reporter.notes[-1] == ("1 of 4 frames have no prediction and count as missed.", "warning")

    def test_all_frames_of_an_empty_result_count_as_missed(self, session: Session, tmp_path: Path) -> None:
        dataset = layouts.write_panoptic(tmp_path / "seq")
        run(session, "import-dataset", folder=str(dataset.folder))
        empty = Pose3DSequence(
            skeleton=PANOPTIC15, time_s=[], xyz_mm=np.zeros((0, 1, 15, 3)), score=np.zeros((0, 1, 15)), person_ids=(1,)
        )
        empty.save(session.take("seq").layout.poses3d(BASELINE))
        result = run(session, "evaluate-dataset")
        assert result["missed_frames"] == 4 and result["metrics"]["recall500"] == 0
        assert result["metrics"]["mpjpe_mm"] is None

    def test_sequences_are_evaluated_together_from_files(self, session: Session, tmp_path: Path) -> None:
        """As in papers: one value over all test sequences. The error is 20 mm in one, 40 mm in the other."""
        dataset = [layouts.write_panoptic(tmp_path / name) for name in ("a", "b")]
        for m, shift in zip(dataset, (20.0, 40.0), strict=True):
            predicted(m, m.test, 29.97, shift).save(tmp_path / f"{m.folder.name}.nc")
        result = run(
            session,
            "evaluate-dataset",
            folders=[str(m.folder) for m in dataset],
            poses=[str(tmp_path / "a.nc"), str(tmp_path / "b.nc")],
        )
        assert result["frames"] == 8 and result["poses"] == "a, b"
        assert result["metrics"]["mpjpe_mm"] == pytest.approx(30)
        assert result["metrics"]["ap25"] == pytest.approx(50, abs=0.01)

    @pytest.mark.parametrize("frames", ["tested", "numbered", "from a frame on"])
    def test_frames_of_a_file_are_matched_with_those_of_the_data_set(
        self, frames: str, session: Session, tmp_path: Path
    ) -> None:
        dataset = layouts.write_panoptic(tmp_path / "seq", first=5)
        first: int | None = None
        if frames == "tested":
            found = predicted(dataset, dataset.test, 29.97)
        elif frames == "numbered":  # a row for every frame of the set's counting, from 0 on
            found = predicted(dataset, dataset.all, 29.97)
            xyz = np.concatenate([np.full((5, 2, 15, 3), np.nan), found.xyz_mm])
            score = np.isfinite(xyz).all(-1).astype(float)
            found = dataclasses.replace(found, time_s=np.arange(45) / 29.97, xyz_mm=xyz, score=score)
        else:
            found, first = predicted(dataset, dataset.all[3:30], 29.97), dataset.all[3]
        found.save(tmp_path / "p.nc")
        result = run(
            session,
            "evaluate-dataset",
            folders=[str(dataset.folder)],
            poses=[str(tmp_path / "p.nc")],
            first_frame=first,
        )
        # From a frame on, the first and the last of the four tested ones are outside.
        assert result["metrics"]["recall500"] == (50 if first else 100)
        assert result["metrics"]["mpjpe_mm"] == pytest.approx(20)

    def test_frames_that_cannot_match_are_refused(self, session: Session, tmp_path: Path) -> None:
        dataset = layouts.write_panoptic(tmp_path / "seq")
        predicted(dataset, dataset.all[:3], 29.97).save(tmp_path / "p.nc")
        params = {"folders": [str(dataset.folder)], "poses": [str(tmp_path / "p.nc")]}
        with pytest.raises(CoreError, match="3 frames; the data set has 4 test frames up to number 136") as error:
            run(session, "evaluate-dataset", **params)
        assert "first_frame" in error.value.hint
        with pytest.raises(CoreError, match="covers none of the frames"):
            run(session, "evaluate-dataset", **params, first_frame=5000)

    def test_missing_input_is_reported(self, session: Session, short_session: Session, tmp_path: Path) -> None:
        with pytest.raises(CoreError, match="no take of a data set") as error:
            run(session, "evaluate-dataset")
        assert "import-dataset" in error.value.hint
        with pytest.raises(CoreError, match="has no ground truth"):
            run(short_session, "evaluate-dataset", takes=["two_people"])
        dataset = layouts.write_panoptic(tmp_path / "seq")
        run(session, "import-dataset", folder=str(dataset.folder), split="train", name="training")
        with pytest.raises(CoreError, match="does not exist"):
            run(session, "evaluate-dataset", takes=["training"])
        with pytest.raises(CoreError, match="2 results are given for 1 sequences"):
            run(session, "evaluate-dataset", takes=["training"], poses=["a", "b"])
        with pytest.raises(CoreError, match="1 folders are given for 2 takes"):
            run(session, "evaluate-dataset", takes=["training"] * 2, folders=[str(dataset.folder)])

    @pytest.mark.slow
    def test_different_data_sets_are_not_mixed(self, session: Session, tmp_path: Path) -> None:
        dataset, shelf = layouts.write_panoptic(tmp_path / "seq"), layouts.WRITERS["shelf"](tmp_path / "Shelf")
        with_poses2d(shelf, "shelf", layouts.coco_actors(640))
        predicted(dataset, dataset.test, 29.97).save(tmp_path / "p.nc")
        with pytest.raises(CoreError, match="different protocols"):
            run(
                session,
                "evaluate-dataset",
                folders=[str(dataset.folder), str(shelf.folder)],
                poses=[str(tmp_path / "p.nc"), "baseline"],
            )


@pytest.mark.slow
def test_the_command_line_prints_the_table(
    session: Session, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table does not depend on the terminal: columns are aligned, our rows marked, the report file named."""
    dataset = layouts.write_panoptic(tmp_path / "seq")
    assert main(["import-dataset", str(session.root), "--folder", str(dataset.folder)]) == 0
    predicted(dataset, dataset.test, 29.97).save(session.take("seq").layout.poses3d(BASELINE))
    capsys.readouterr()
    assert main(["evaluate-dataset", str(session.root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("CMU Panoptic")
    assert " ".join(lines[1].split()) == "supervision method AP25 AP50 AP100 AP150 recall@500 MPJPE mm"
    (theirs,) = (line for line in lines if " SelfPose3d  " in line)
    assert theirs.split() == ["no", "labels", "SelfPose3d", "55.13", "96.44", "98.46", "98.98", "99.60", "24.47"]
    (ours,) = (line for line in lines if line.startswith(">"))
    assert " ".join(ours.split()) == "> here baseline 100.00 100.00 100.00 100.00 100.00 20.00"
    assert len(ours) == len(theirs) == len(lines[1])
    assert lines[-3:-1] == ["Frames: 4", "Missed frames: 0"]
    assert read_json(Path(lines[-1].removeprefix("File: ")))["data_set"] == "panoptic"
    assert main(["import-dataset", str(session.root)]) == 1
    assert "folder" in capsys.readouterr().err
