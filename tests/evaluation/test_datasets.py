"""Data sets in their authors' layouts, written from known people: read back exactly, and hostile ones refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from core.errors import CoreError
from core.evaluation.datasets import READERS, read_dataset
from core.evaluation.shelf import to_shelf14
from core.files import read_json
from core.pipelines.verbs import verb
from core.progress import RecordingReporter
from core.session import Session
from core.synthetic.people import walkers
from core.synthetic.rigs import ring_rig
from core.types.camera import CameraRig
from core.types.skeleton import COCO17, PANOPTIC15

TURN = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # rows: their x, y, z in ours


def write_panoptic(folder: Path, rig: CameraRig, people_mm: np.ndarray, hidden: tuple[int, int, int] | None) -> None:
    """Frames of people (T, P, 15, 3); `hidden` is a (frame, person, joint) of confidence 0."""
    (folder / "hdPose3d_stage1_coco19").mkdir(parents=True)
    cameras = []
    for v, camera in enumerate(rig):
        R, t = camera.pose
        cameras.append(
            {
                "name": f"00_{v:02d}",
                "type": "hd",
                "resolution": list(camera.size_px),
                "panel": 0,
                "node": v,
                "K": camera.K.tolist(),
                "distCoef": [0.0] * 5,
                "R": (R @ TURN.T).tolist(),
                "t": (t / 10)[:, None].tolist(),
            }
        )
    (folder / f"calibration_{folder.name}.json").write_text(json.dumps({"cameras": cameras}))
    for frame, people in enumerate(people_mm):
        bodies = []
        for p, xyz in enumerate(people):
            theirs = np.zeros((19, 4))
            theirs[:15, :3], theirs[:, 3] = xyz @ TURN.T / 10, 1.0
            if hidden is not None and hidden[:2] == (frame, p):
                theirs[hidden[2], 3] = 0.05
            bodies.append({"id": p, "joints19": theirs.ravel().tolist()})
        path = folder / "hdPose3d_stage1_coco19" / f"body3DScene_{frame:08d}.json"
        path.write_text(json.dumps({"version": 0.7, "bodies": bodies}))


def write_actors(folder: Path, rig: CameraRig, actors_mm: np.ndarray) -> None:
    """Actors (F, A, 14, 3), NaN where absent, in cells as the authors' MATLAB wrote them."""
    folder.mkdir()
    table = {}
    for v, camera in enumerate(rig):
        table[str(v)] = {
            "R": camera.pose[0].tolist(),
            "T": camera.centre_mm[:, None].tolist(),
            **{"fx": camera.K[0, 0], "fy": camera.K[1, 1], "cx": camera.K[0, 2], "cy": camera.K[1, 2]},
            "k": [[0.0]] * 3,
            "p": [[0.0]] * 2,
        }
    (folder / f"calibration_{folder.name}.json").write_text(json.dumps(table))
    cells = np.empty((1, actors_mm.shape[1]), object)
    for a in range(actors_mm.shape[1]):
        frames = np.empty((len(actors_mm), 1), object)
        for f, xyz in enumerate(actors_mm[:, a]):
            frames[f, 0] = xyz / 1000 if np.isfinite(xyz).all() else np.zeros((0, 0))
        cells[0, a] = frames
    savemat(folder / "actorsGT.mat", {"actor3D": np.array([[cells]], object)})


class TestPanoptic:
    def test_round_trip_every_twelfth_frame(self, tmp_path: Path) -> None:
        people = walkers(2, 30, np.random.default_rng(0), skeleton=PANOPTIC15).xyz_mm
        rig = ring_rig(3)
        write_panoptic(tmp_path / "seq", rig, people, (12, 1, 5))
        data = read_dataset(tmp_path / "seq", "panoptic")
        assert data.frames.tolist() == [0, 12, 24]
        expected = people[[0, 12, 24]].copy()
        expected[1, 1, 5] = np.nan
        np.testing.assert_allclose(data.truth_mm, expected, atol=1e-6)
        for ours, camera in zip(data.rig, rig, strict=True):
            np.testing.assert_allclose(ours.centre_mm, camera.centre_mm, atol=1e-6)

    def test_bodies_without_a_mid_hip_and_empty_frames_are_left_out(self, tmp_path: Path) -> None:
        people = walkers(1, 26, np.random.default_rng(0), skeleton=PANOPTIC15).xyz_mm
        write_panoptic(tmp_path / "seq", ring_rig(3), people, (12, 0, 2))
        assert read_dataset(tmp_path / "seq", "panoptic").frames.tolist() == [0, 24]

    def test_damage_is_said(self, tmp_path: Path) -> None:
        people = walkers(1, 13, np.random.default_rng(0), skeleton=PANOPTIC15).xyz_mm
        write_panoptic(tmp_path / "seq", ring_rig(3), people, None)
        bodies = tmp_path / "seq" / "hdPose3d_stage1_coco19"
        (bodies / "body3DScene_00000000.json").write_text('{"bodies": [{"id": 1}]}')
        with pytest.raises(CoreError, match="does not hold bodies"):
            read_dataset(tmp_path / "seq", "panoptic")
        (bodies / "body3DScene_00000000.json").write_text('{"bodies": [{"joints19"')
        with pytest.raises(CoreError):
            read_dataset(tmp_path / "seq", "panoptic")
        (tmp_path / "seq" / "calibration_seq.json").unlink()
        with pytest.raises(CoreError, match="calibration"):
            read_dataset(tmp_path / "seq", "panoptic")


class TestActors:
    @pytest.mark.parametrize(("kind", "frames", "count"), [("shelf", 601, 301), ("campus", 751, 222)])
    def test_round_trip(self, kind: str, frames: int, count: int, tmp_path: Path) -> None:
        people = walkers(2, 40, np.random.default_rng(0)).xyz_mm
        actors = np.resize(to_shelf14(people, COCO17), (frames, 2, 14, 3))
        actors[400:, 1] = np.nan
        write_actors(tmp_path / kind, ring_rig(3), actors)
        data = read_dataset(tmp_path / kind, kind)
        assert len(data.frames) == count == len(data.truth_mm)
        np.testing.assert_allclose(data.truth_mm, actors[data.frames], atol=1e-6)

    def test_short_and_foreign_files_are_refused(self, tmp_path: Path) -> None:
        write_actors(tmp_path / "shelf", ring_rig(3), np.zeros((20, 1, 14, 3)))
        with pytest.raises(CoreError, match="601 are needed"):
            read_dataset(tmp_path / "shelf", "shelf")
        savemat(tmp_path / "shelf" / "actorsGT.mat", {"other": np.zeros(3)})
        with pytest.raises(CoreError, match="does not hold actors"):
            read_dataset(tmp_path / "shelf", "shelf")


def test_unknown_names_and_folders(tmp_path: Path) -> None:
    with pytest.raises(CoreError, match="shelv"):
        read_dataset(tmp_path, "shelv")
    for kind in READERS:
        with pytest.raises(CoreError, match="no folder"):
            read_dataset(tmp_path / "none", kind)
        with pytest.raises(CoreError):
            read_dataset(tmp_path, kind)


class TestVerb:
    """The verb's table on known answers."""

    def test_panoptic_beside_published_rows(self, short_session: Session, tmp_path: Path) -> None:
        people = walkers(2, 72, np.random.default_rng(0), skeleton=PANOPTIC15)
        write_panoptic(tmp_path / "seq", ring_rig(3), people.xyz_mm, None)
        take = short_session.take("two_people")
        found = dataclasses.replace(
            people, time_s=np.arange(6) / 30, xyz_mm=people.xyz_mm[::12] + (20.0, 0, 0), score=people.score[::12]
        )
        found.save(take.layout.poses3d("baseline"))
        reporter = RecordingReporter()
        result = verb("evaluate-dataset")(
            short_session,
            {"take": "two_people", "folder": str(tmp_path / "seq"), "kind": "panoptic"},
            short_session.new_run("evaluate"),
            reporter,
        )
        assert result["ours"]["baseline"] == pytest.approx((100, 100, 100, 100, 100, 20))
        table = reporter.notes[-1][0]
        assert "SelfPose3d (no labels)" in table and "24.47" in table and "20.00" in table
        assert read_json(Path(result["file"]))["frames"] == 6

    def test_campus_tells_both_heads_and_counts_empty_frames(self, short_session: Session, tmp_path: Path) -> None:
        coco = walkers(1, 751, np.random.default_rng(0))
        write_actors(tmp_path / "campus", ring_rig(3), to_shelf14(coco.xyz_mm, COCO17))
        take = short_session.take("two_people")
        gone = coco.xyz_mm.copy()
        gone[350:461] = np.nan  # half of the frames that count
        found = dataclasses.replace(coco, xyz_mm=gone, score=np.where(np.isfinite(gone).all(-1), 1.0, 0.0))
        found.save(take.layout.poses3d("baseline"))
        result = verb("evaluate-dataset")(
            short_session,
            {"take": "two_people", "folder": str(tmp_path / "campus"), "kind": "campus"},
            short_session.new_run("evaluate"),
            RecordingReporter(),
        )
        shelf, plain = result["ours"].values()
        assert shelf[0] == shelf[3] == pytest.approx(50) and shelf[1] is None
        assert plain[0] <= 50 and [name.rpartition(", ")[2] for name in result["ours"]] == [
            "heads as for Shelf",
            "plain heads",
        ]

    def test_wrong_number_of_moments_and_no_folder(self, short_session: Session, tmp_path: Path) -> None:
        people = walkers(1, 48, np.random.default_rng(0), skeleton=PANOPTIC15)
        write_panoptic(tmp_path / "seq", ring_rig(3), people.xyz_mm, None)
        few = dataclasses.replace(people, time_s=np.arange(3) / 30, xyz_mm=people.xyz_mm[:3], score=people.score[:3])
        few.save(short_session.take("two_people").layout.poses3d("baseline"))
        run = short_session.new_run("evaluate")
        with pytest.raises(CoreError, match="3 moments"):
            verb("evaluate-dataset")(
                short_session, {"take": "two_people", "folder": str(tmp_path / "seq")}, run, RecordingReporter()
            )
        with pytest.raises(CoreError, match="not given"):
            verb("evaluate-dataset")(short_session, {"take": "two_people"}, run, RecordingReporter())
