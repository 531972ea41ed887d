"""2D poses of other programs: coordinates, numbers, names, duplicates and damage are recognised or said."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from core.errors import CoreError
from core.session import Session
from core.types.arrays import F64
from tests.pose2d.imported_people import FRAMES, Seen, assert_same, changed, run, scaled, seen_people, write_folders


@pytest.fixture
def seen(short_session: Session) -> Seen:
    return seen_people(short_session)


# Coordinates.


@pytest.mark.parametrize("factor", [0.5, 0.25, 2.0])
def test_another_image_size_is_found_by_the_rig(
    factor: float, short_session: Session, seen: Seen, tmp_path: Path
) -> None:
    path = write_folders(tmp_path / "op", changed(seen, scaled(factor)))
    _, warnings = run(short_session, path)
    assert any("pixels of images of" in text and "cameras then agree" in text for text in warnings)
    assert_same(short_session, seen, 2.0)


def test_one_camera_of_another_size_is_found(short_session: Session, seen: Seen, tmp_path: Path) -> None:
    half = changed(seen, scaled(0.5))
    _, warnings = run(short_session, write_folders(tmp_path / "op", {**seen, "cam02": half["cam02"]}))
    assert len(warnings) == 1 and warnings[0].startswith("The coordinates of cam02 are taken as pixels of images of")
    assert_same(short_session, seen, 2.0)


def test_without_a_rig_smaller_images_are_only_said(short_session: Session, seen: Seen, tmp_path: Path) -> None:
    width, height = short_session.take("two_people").camera("cam01").size_px
    short_session.layout.rig.unlink()
    path = write_folders(tmp_path / "op", changed(seen, scaled(0.5)))
    _, warnings = run(short_session, path)
    assert len(warnings) == 1 and f"--image-size {width // 2}x{height // 2}" in warnings[0]
    run(short_session, path, image_size=f"{width // 2}x{height // 2}", name="again")
    shutil.rmtree(short_session.take("two_people").layout.poses2d("imported"))
    short_session.take("two_people").layout.poses2d("again").rename(
        short_session.take("two_people").layout.poses2d("imported")
    )
    assert_same(short_session, seen, 2.0)


def test_without_a_rig_joints_outside_are_refused(short_session: Session, seen: Seen, tmp_path: Path) -> None:
    short_session.layout.rig.unlink()
    with pytest.raises(CoreError, match="% of the joints lie outside of the images") as error:
        run(short_session, write_folders(tmp_path / "op", changed(seen, scaled(3.0))))
    assert "--image-size" in error.value.hint


@pytest.mark.parametrize(("unit", "text"), [(1.0, "shares"), (100.0, "percent")])
def test_shares_and_percent(unit: float, text: str, short_session: Session, seen: Seen, tmp_path: Path) -> None:
    width, height = short_session.take("two_people").camera("cam01").size_px
    path = write_folders(tmp_path / "op", changed(seen, scaled(unit / width, unit / height)))
    _, warnings = run(short_session, path)
    assert len(warnings) == 1 and f"taken as {text} of the image size" in warnings[0]
    assert_same(short_session, seen, 0.6)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_turned_images(quarters: int, short_session: Session, seen: Seen, tmp_path: Path) -> None:
    size = short_session.take("two_people").camera("cam01").size_px

    def turn_back(person: F64) -> F64:
        xy, (_, height) = person[:, :2], size
        if quarters == 1:
            xy = np.stack([xy[:, 1], size[0] - 1 - xy[:, 0]], -1)
        elif quarters == 2:
            xy = np.array(size) - 1 - xy
        else:
            xy = np.stack([height - 1 - xy[:, 1], xy[:, 0]], -1)
        return np.column_stack([xy, person[:, 2]])

    _, warnings = run(short_session, write_folders(tmp_path / "op", changed(seen, turn_back)))
    assert len(warnings) == 1 and f"turned by {90 * quarters} degrees clockwise" in warnings[0]
    assert_same(short_session, seen)


# Numbers and names.


@pytest.mark.parametrize("name", ["{camera}_json/{camera}_{n:06d}.json", "{camera}/{camera}.{n:04d}.json"])
def test_names_of_rtmlib_and_pose2sim(name: str, short_session: Session, seen: Seen, tmp_path: Path) -> None:
    _, warnings = run(short_session, write_folders(tmp_path / "pose", seen, "halpe26", name))
    assert not warnings
    assert_same(short_session, seen)


def test_one_folder_for_all_cameras_and_a_project_above(short_session: Session, seen: Seen, tmp_path: Path) -> None:
    write_folders(tmp_path / "project" / "pose", seen, name="{camera}_{n:012d}_keypoints.json")
    run(short_session, tmp_path / "project")
    assert_same(short_session, seen)


def test_numbers_from_1(short_session: Session, seen: Seen, tmp_path: Path) -> None:
    whole = _whole_video(short_session)
    _, warnings = run(short_session, write_folders(tmp_path / "op", _padded(seen, whole), first=1))
    assert len(warnings) == 1 and "numbered from 1" in warnings[0]
    assert_same(short_session, seen)
    _, warnings = run(short_session, tmp_path / "op", first_image=0, name="as_they_are")
    assert any("1 images are not in the video" in text for text in warnings)


def test_numbers_of_a_longer_video(short_session: Session, seen: Seen, tmp_path: Path) -> None:
    whole = _whole_video(short_session)
    _, warnings = run(short_session, write_folders(tmp_path / "op", _padded(seen, whole), first=300))
    assert len(warnings) == 4 and "number 300 is taken as the first image" in warnings[0]
    assert_same(short_session, seen)


def test_gaps_and_images_beyond_the_end_are_said(short_session: Session, seen: Seen, tmp_path: Path) -> None:
    whole = _whole_video(short_session)
    path = write_folders(tmp_path / "op", _padded(seen, whole + 3))
    (path / "cam03" / f"cam03_{2:012d}_keypoints.json").unlink()
    _, warnings = run(short_session, path)
    assert "cam03: 1 of 6 frames have no file, and so no people." in warnings
    assert f"cam01: poses of 3 images are not in the video, which has {whole}, and are not used" in " ".join(warnings)


def test_names_that_do_not_match_are_listed(short_session: Session, seen: Seen, tmp_path: Path) -> None:
    path = write_folders(tmp_path / "op", seen)
    for number, camera in enumerate(seen, start=1):
        (path / camera).rename(path / f"view{'abcd'[number - 1]}")
    with pytest.raises(CoreError, match="2D poses 'viewa' matches no camera"):
        run(short_session, path)
    _, warnings = run(short_session, path, cameras=tuple(seen))
    assert not warnings
    assert_same(short_session, seen)
    (path / "viewa").rename(path / "cam02")
    (path / "viewb").rename(path / "cam01")
    (path / "viewc").rename(path / "cam03")
    (path / "viewd").rename(path / "cam04")
    (path / "cam05").mkdir()
    (path / "notes.txt").write_text("")
    _, warnings = run(short_session, path, name="crossed")
    assert any("used for cam01, but the files are named after cam02" in text for text in warnings)
    assert any("Not used in op: " in text and "notes.txt" in text and "cam05" in text for text in warnings)


def test_what_cannot_be_poses_is_said(short_session: Session, seen: Seen, tmp_path: Path) -> None:
    with pytest.raises(CoreError, match="no file or folder"):
        run(short_session, tmp_path / "none")
    (tmp_path / "op").mkdir()
    with pytest.raises(CoreError, match="no 2D poses in a format that is read"):
        run(short_session, tmp_path / "op")
    single = tmp_path / "poses.json"
    single.write_text(json.dumps([{"image_id": "0.jpg", "keypoints": [10.5, 20.25, 0.9, 12, 19, 0.9], "idx": 1}]))
    with pytest.raises(CoreError, match=r"one camera \(AlphaPose.*has 4 cameras"):
        run(short_session, single)
    project = tmp_path / "poses.slp"
    project.write_bytes(b"x")
    with pytest.raises(CoreError, match="not a readable HDF5 file"):
        run(short_session, project)
    path = write_folders(tmp_path / "three", {c: f for c, f in seen.items() if c != "cam04"})
    with pytest.raises(CoreError, match="no 2D poses of camera cam04"):
        run(short_session, path)


# People.


def test_duplicates_and_halves_are_merged(short_session: Session, seen: Seen, tmp_path: Path) -> None:
    def doubled(people: list[F64]) -> list[F64]:
        first, second = people
        upper, lower = second.copy(), second.copy()
        upper[11:], lower[:11] = [0, 0, 0], [0, 0, 0]
        return [first, first + [3, -2, -0.1], upper, lower]

    path = write_folders(tmp_path / "op", {c: [doubled(people) for people in frames] for c, frames in seen.items()})
    _, warnings = run(short_session, path)
    assert any("cam01: 6 detections repeat a person" in text for text in warnings)
    assert any("cam01: 6 people were reported as two halves" in text for text in warnings)
    assert_same(short_session, seen)


def test_faulty_values_are_counted(short_session: Session, seen: Seen, tmp_path: Path) -> None:
    path = write_folders(tmp_path / "op", seen, "coco17")
    file = path / "cam01" / f"cam01_{0:012d}_keypoints.json"
    document = json.loads(file.read_text())
    values = document["people"][0]["pose_keypoints_2d"]
    values[0], values[3], values[8], values[11], values[12] = float("nan"), float("inf"), -7e9, 5.5, 1e7
    file.write_text(json.dumps(document))
    _, warnings = run(short_session, path)
    assert [w.removeprefix("cam01: ").split()[0] for w in warnings if w.startswith("cam01: ")] == ["2", "1", "1", "1"]
    text = " ".join(warnings)
    assert all(w in text for w in ("NaN or infinite", "further than 100000 px", "are negative", "above 1, up to 5.5"))
    poses = short_session.take("two_people").poses2d("imported")["cam01"]
    assert np.isnan(poses.xy_px[0, 0, [0, 1, 2, 4], 0]).all() and poses.score[0, 0, 3] == 1


# Damage.


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ('{"people": [', "cam01_000000000000_keypoints.json"),
        ('{"people": 3}', "no list of people"),
        ('{"people": [{"pose": []}]}', "without pose_keypoints_2d"),
        ('{"people": [{"pose_keypoints_2d": [1, 2]}]}', "2 values, expected three for each joint"),
        ('{"people": [{"pose_keypoints_2d": ["a", 1, 2]}]}', "not a list of numbers"),
        ('{"people": [{"pose_keypoints_2d": [1, 2, 3]}]}', "different numbers of joints"),
        ("[" * 5000, "cam01_000000000000_keypoints.json"),
        ("1" * 5000, "cam01_000000000000_keypoints.json"),
    ],
)
def test_damaged_files_are_refused_by_name(
    content: str, text: str, short_session: Session, seen: Seen, tmp_path: Path
) -> None:
    path = write_folders(tmp_path / "op", seen)
    (path / "cam01" / f"cam01_{0:012d}_keypoints.json").write_text(content)
    with pytest.raises(CoreError, match=text):
        run(short_session, path)


def test_mutations_are_read_or_refused(short_session: Session, seen: Seen, tmp_path: Path) -> None:
    from core.pose2d.importers.sources import find_sources, read_source
    from tests.pose2d.test_importers import FORMATS

    rng, refused = random.Random(0), 0
    files = []
    for form, (write, suffix, joints) in FORMATS.items():
        files.append(tmp_path / f"{form}{suffix}")
        write(files[-1], seen["cam01"][:2], joints, (1920, 1080))
    folder = write_folders(tmp_path / "op", {"cam01": seen["cam01"][:1]})
    files.append(next((folder / "cam01").iterdir()))
    for file in files:
        whole = file.read_bytes()
        for _ in range(30):
            data = bytearray(whole)
            for _ in range(rng.choice((1, 1, 3, 20))):
                at = rng.randrange(len(data))
                data[at : at + rng.choice((0, 1, 1, 8))] = rng.randbytes(rng.choice((0, 1, 1, 4)))
            file.write_bytes(bytes(data) if rng.random() < 0.9 else whole[: rng.randrange(len(whole))])
            source = file.parent if file.parent.name == "cam01" else file
            try:
                read_source(find_sources(source)[0][0], "auto")
            except CoreError as error:
                refused += 1
                assert error.hint
    assert refused > 50


def _whole_video(session: Session) -> int:
    return session.take("two_people").camera("cam01").n_frames


def _padded(seen: Seen, n_images: int) -> Seen:
    """Return the people with images without people after them, up to a number of images."""
    return {camera: [*frames, *[[]] * (n_images - FRAMES)] for camera, frames in seen.items()}
