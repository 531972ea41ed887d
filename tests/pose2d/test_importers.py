"""2D poses of other programs: exact joints, import into a take, refusal of damaged files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import CoreError
from core.pipelines.verbs import verb
from core.pose2d.importers import POSE2D_IMPORTERS
from core.progress import RecordingReporter
from core.session import Session
from core.types import COCO17

FEET = 6
ORDER_25 = [
    *("nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist"),
    *("mid_hip", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
    *("right_eye", "left_eye", "right_ear", "left_ear"),
]
ORDER_18 = [name for name in ORDER_25 if name != "mid_hip"]


def keypoints(person: np.ndarray, model: int) -> list[float]:
    """Return OpenPose's list of a person (17, 3) in COCO-17 order; joints that COCO-17 lacks are far off."""
    names = ORDER_25 if model == 25 else ORDER_18
    rows = [person[COCO17.index(n)] if n in COCO17.joints else np.array([-1e4, -1e4, 0.9]) for n in names]
    rows += [np.array([-1e4, -1e4, 0.9])] * (FEET if model == 25 else 0)
    assert len(rows) == model
    return np.ravel(rows).tolist()


def write(folder: Path, number: int, people: list[list[float]], video: str = "walk") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{video}_{number:012d}_keypoints.json"
    document = {"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": p} for p in people]}
    path.write_text(json.dumps(document))
    return path


@pytest.fixture
def person() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.concatenate([rng.uniform(0, 1000, (17, 2)), rng.uniform(0.2, 1, (17, 1))], 1)


def test_contract_of_every_importer() -> None:
    for name in POSE2D_IMPORTERS:
        importer = POSE2D_IMPORTERS.get(name)
        assert importer.name == name and importer.title and len(importer.skeleton)


@pytest.mark.parametrize("model", [25, 18])
def test_joints_are_assigned_by_name(model: int, person: np.ndarray, tmp_path: Path) -> None:
    write(tmp_path / "cam", 4, [keypoints(person, model), keypoints(person + [5, 5, 0], model)])
    write(tmp_path / "cam", 5, [])
    found = POSE2D_IMPORTERS.get("openpose").read(tmp_path / "cam")
    assert list(found) == [4, 5] and found[5] == []
    np.testing.assert_allclose(found[4][0], person)
    np.testing.assert_allclose(found[4][1], person + [5, 5, 0])


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ('{"people": [', "not valid JSON"),
        ("[]", "no list of people"),
        ('{"people": [{"pose": []}]}', "without pose_keypoints_2d"),
        ('{"people": [{"pose_keypoints_2d": [1, 2, 3]}]}', "3 values, expected 75 or 54"),
        ('{"people": [{"pose_keypoints_2d": ["a"]}]}', "without pose_keypoints_2d"),
    ],
)
def test_damaged_files_are_refused_by_name(content: str, text: str, person: np.ndarray, tmp_path: Path) -> None:
    path = write(tmp_path / "cam", 0, [keypoints(person, 25)])
    path.write_text(content)
    with pytest.raises(CoreError, match=text) as error:
        POSE2D_IMPORTERS.get("openpose").read(tmp_path / "cam")
    assert path.name in error.value.message


def test_invalid_folders_are_refused(person: np.ndarray, tmp_path: Path) -> None:
    read = POSE2D_IMPORTERS.get("openpose").read
    (tmp_path / "empty").mkdir()
    with pytest.raises(CoreError, match="no files named"):
        read(tmp_path / "empty")
    write(tmp_path / "shares", 0, [keypoints(person * [1e-3, 1e-3, 1], 18)])
    shares = json.loads(next((tmp_path / "shares").iterdir()).read_text())
    values = np.reshape(shares["people"][0]["pose_keypoints_2d"], (-1, 3))
    values[values[:, 0] < 0, :2] = 0.5
    write(tmp_path / "shares", 0, [values.ravel().tolist()])
    with pytest.raises(CoreError, match="normalised by the image size") as error:
        read(tmp_path / "shares")
    assert "--keypoint_scale 0" in error.value.hint
    write(tmp_path / "two", 0, [], "a")
    write(tmp_path / "two", 0, [], "b")
    with pytest.raises(CoreError, match="two files for image 0"):
        read(tmp_path / "two")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "odd_keypoints.json").write_text("{}")
    with pytest.raises(CoreError, match="no image number"):
        read(tmp_path / "odd")


class TestVerb:
    """import-poses2d."""

    def run(self, session: Session, **values: Any) -> tuple[dict[str, Any], RecordingReporter]:
        reporter = RecordingReporter()
        run = session.new_run("import-poses2d")
        return verb("import-poses2d")(session, {"take": "two_people", **values}, run, reporter), reporter

    def test_images_are_found_by_their_numbers(
        self, short_session: Session, person: np.ndarray, tmp_path: Path
    ) -> None:
        index = short_session.take("two_people").timeline().frame_index
        for v, camera in enumerate(("cam01", "cam02", "cam03", "cam04")):
            for t, number in enumerate(index[:, v].tolist()):
                if (camera, t) != ("cam03", 2):
                    hurt = person.copy()
                    hurt[3] = 0.0  # a joint that OpenPose did not find
                    people = [keypoints(hurt + [100.0 * v + t, 0, 0] * (hurt[:, 2:] > 0), 25)][: t % 3]
                    write(tmp_path / "op" / f"GOPR_{camera}", number, people, camera)
        result, reporter = self.run(short_session, path=str(tmp_path / "op"))
        assert result["estimator"] == "openpose"
        take = short_session.take("two_people")
        assert "openpose" in take.estimators()
        poses = take.poses2d("openpose")
        assert poses["cam02"].skeleton == COCO17
        assert poses["cam02"].present.tolist() == [[False], [True], [True], [False], [True], [True]]
        joints = poses["cam02"].xy_px[1, 0]
        assert np.isnan(joints[3]).all() and poses["cam02"].score[1, 0, 3] == 0
        np.testing.assert_allclose(joints[4], person[4, :2] + [101, 0], atol=1e-3)
        known = np.delete(joints, 3, 0)
        low, high = poses["cam02"].box_px[1, 0, :2], poses["cam02"].box_px[1, 0, 2:]
        assert (low < known.min(0)).all() and (high > known.max(0)).all()
        assert not poses["cam03"].present[2].any()
        assert [text for text, level in reporter.notes if level == "warning"] == [
            "cam03: 1 of 6 frames have no file, and so no people."
        ]
        with pytest.raises(CoreError, match="already has 2D poses named 'openpose'"):
            self.run(short_session, path=str(tmp_path / "op"))
        assert self.run(short_session, path=str(tmp_path / "op"), name="op_again")[0]["estimator"] == "op_again"

    def test_missing_data_is_reported(self, short_session: Session, person: np.ndarray, tmp_path: Path) -> None:
        with pytest.raises(CoreError, match="no folder"):
            self.run(short_session, path=str(tmp_path / "none"))
        (tmp_path / "op").mkdir()
        with pytest.raises(CoreError, match="no folders with 2D poses"):
            self.run(short_session, path=str(tmp_path / "op"))
        for camera in ("cam01", "cam02", "cam03"):
            write(tmp_path / "op" / camera, 0, [])
        with pytest.raises(CoreError, match="no folder for camera cam04"):
            self.run(short_session, path=str(tmp_path / "op"))
        write(tmp_path / "op" / "cam04", 5000, [])
        with pytest.raises(CoreError, match="5000 to 5000, none in the take"):
            self.run(short_session, path=str(tmp_path / "op"))
        with pytest.raises(CoreError, match="openpos"):
            self.run(short_session, path=str(tmp_path / "op"), format="openpos")
        assert "openpose" not in short_session.take("two_people").estimators()
