"""2D poses of other programs: every format and joint set gives the same people."""

from __future__ import annotations

import csv
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from core.errors import CoreError
from core.pose2d.importers import POSE2D_IMPORTERS
from core.pose2d.importers.joint_sets import JOINT_SETS, joint_set, joints_by_name
from core.session import Session
from core.types import COCO17
from core.types.arrays import F64
from tests.pose2d.imported_people import (
    FRAMES,
    PEOPLE,
    Seen,
    Size,
    assert_same,
    changed,
    in_order,
    run,
    seen_people,
    write_folders,
)


@pytest.fixture
def seen(short_session: Session) -> Seen:
    return seen_people(short_session)


# Joint sets.


@pytest.mark.parametrize("joints", ["body25", "body25b", "coco18", "coco17", "halpe26", "coco133", "body135"])
def test_joint_sets_are_told_by_anatomy(joints: str, short_session: Session, seen: Seen, tmp_path: Path) -> None:
    result, warnings = run(short_session, write_folders(tmp_path / "op", seen, joints))
    assert result["joints"] == joints and not warnings
    assert_same(short_session, seen)


@pytest.mark.parametrize("joints", ["h36m17", "mpii16", "crowdpose14"])
def test_sets_without_a_face_say_what_they_lack(
    joints: str, short_session: Session, seen: Seen, tmp_path: Path
) -> None:
    result, warnings = run(short_session, write_folders(tmp_path / "op", seen, joints))
    assert result["joints"] == joints and any("lack nose, left eye" in text for text in warnings)
    assert_same(short_session, seen, joints=range(5, 17))


def test_joints_that_form_no_bodies_are_refused_unless_named(
    short_session: Session, seen: Seen, tmp_path: Path
) -> None:
    shuffled = np.random.default_rng(1).permutation(17)
    path = write_folders(tmp_path / "op", changed(seen, lambda person: person[shuffled]), "coco17")
    with pytest.raises(CoreError, match="17 joints do not form bodies") as error:
        run(short_session, path)
    assert "--joints" in error.value.hint
    result, _ = run(short_session, path, joints="coco17")
    assert result["joints"] == "coco17"


def test_a_named_set_that_fits_worse_is_said(short_session: Session, seen: Seen, tmp_path: Path) -> None:
    path = write_folders(tmp_path / "op", seen, "body25b")
    _, warnings = run(short_session, path, joints="BODY_25")
    assert any("--joints body25b" in text for text in warnings)
    with pytest.raises(CoreError, match="25 joints, but COCO-17 has 17"):
        run(short_session, path, joints="coco17", name="other")


def test_too_few_people_to_tell_is_said(short_session: Session, seen: Seen, tmp_path: Path) -> None:
    one = {camera: [frames[0][:1], *[[]] * (FRAMES - 1)] for camera, frames in seen.items()}
    _, warnings = run(short_session, write_folders(tmp_path / "op", one, "body25"))
    assert any("may be those of body25b" in text and "too few people" in text for text in warnings)


def test_joint_names() -> None:
    spelled = {"LEye": "left_eye", "eye_left": "left_eye", "Left Shoulder": "left_shoulder", "knee1": "right_knee"}
    for name, joint in spelled.items():
        assert joints_by_name([name]).joints == (joint,)
    assert joints_by_name(["left_eye_inner", "left_hand", "tail"]).rows == (-1,) * 17
    assert joint_set("BODY_25B").name == "body25b"
    with pytest.raises(CoreError, match="left ankle: LAnkle, left_ankle"):
        joints_by_name(["LAnkle", "left_ankle"])


# Formats.


def alphapose(path: Path, frames: list[list[F64]], joints: str, size: Size) -> None:
    order = JOINT_SETS[joints].joints
    items = [
        {"image_id": f"{t}.jpg", "category_id": 1, "keypoints": in_order(p, order).ravel().tolist(), "score": 2.9}
        for t, people in enumerate(frames)
        for p in people
    ]
    path.write_text(json.dumps(items))


def alphapose_open(path: Path, frames: list[list[F64]], joints: str, size: Size) -> None:
    order = JOINT_SETS["coco18"].joints
    path.write_text(
        json.dumps(
            {
                f"img_{t:05d}.png": {"bodies": [{"joints": in_order(p, order).ravel().tolist()} for p in people]}
                for t, people in enumerate(frames)
            }
        )
    )


def mmpose(path: Path, frames: list[list[F64]], joints: str, size: Size) -> None:
    order = JOINT_SETS[joints].joints

    def instance(person: F64) -> dict[str, Any]:
        values = in_order(person, order)
        return {"keypoints": values[:, :2].tolist(), "keypoint_scores": values[:, 2].tolist(), "bbox": [[0, 0, 1, 1]]}

    info = [{"frame_id": t, "instances": [instance(p) for p in people]} for t, people in enumerate(frames)]
    path.write_text(json.dumps({"meta_info": {"dataset_name": joints}, "instance_info": info}))


def coco_results(path: Path, frames: list[list[F64]], joints: str, size: Size) -> None:
    order = JOINT_SETS[joints].joints
    items = [
        {"image_id": t, "category_id": 1, "keypoints": in_order(p, order).ravel().tolist(), "score": 0.9}
        for t, people in enumerate(frames)
        for p in people
    ]
    path.write_text(json.dumps(items))


def coco_annotations(path: Path, frames: list[list[F64]], joints: str, size: Size) -> None:
    names = [joint.upper() for joint in COCO17.joints[::-1]]
    images = [
        {"id": 900 + t, "file_name": f"walk/{t:06d}.jpg", "width": size[0], "height": size[1]} for t in range(FRAMES)
    ]
    annotations = [
        {"image_id": 900 + t, "keypoints": (p[::-1] * [1, 1, 0] + [0, 0, 2]).ravel().tolist()}
        for t, people in enumerate(frames)
        for p in people
    ]
    document = {"images": images, "annotations": annotations, "categories": [{"keypoints": names}]}
    path.write_text(json.dumps(document))


def deeplabcut_csv(path: Path, frames: list[list[F64]], joints: str, size: Size) -> None:
    columns = [(f"p{n}", joint, kind) for n in range(PEOPLE) for joint in COCO17.joints for kind in "xyl"]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["scorer", *["DLC_resnet50"] * len(columns)])
        writer.writerow(["individuals", *[c[0] for c in columns]])
        writer.writerow(["bodyparts", *[c[1] for c in columns]])
        writer.writerow(["coords", *["likelihood" if c[2] == "l" else c[2] for c in columns]])
        for t, people in enumerate(frames):
            writer.writerow([t, *np.concatenate([p.ravel() for p in people]).tolist()])


def deeplabcut_hdf5(path: Path, frames: list[list[F64]], joints: str, size: Size) -> None:
    columns = [
        ("DLC_resnet50", f"p{n}", joint, kind)
        for n in range(PEOPLE)
        for joint in COCO17.joints
        for kind in ("x", "y", "likelihood")
    ]
    records = np.zeros(len(frames), [("index", "<i8"), ("values_block_0", "<f8", (len(columns),))])
    records["index"] = range(len(frames))
    records["values_block_0"] = [np.concatenate([p.ravel() for p in people]) for people in frames]
    with h5py.File(path, "w") as file:
        table = file.create_dataset("df_with_missing/table", data=records)
        table.attrs["values_block_0_kind"] = np.bytes_(pickle.dumps(columns, 0))


def sleap_hdf5(path: Path, frames: list[list[F64]], joints: str, size: Size) -> None:
    values = np.array(frames).transpose(1, 3, 2, 0)  # (P, 3, J, T)
    with h5py.File(path, "w") as file:
        file["tracks"], file["point_scores"] = values[:, :2], values[:, 2]
        file["node_names"] = [joint.encode() for joint in COCO17.joints]


_SLP_FRAMES = [(name, "<i8") for name in ("frame_id", "video", "frame_idx", "instance_id_start", "instance_id_end")]
_SLP_INSTANCES = [
    ("instance_id", "<i8"),
    ("instance_type", "u1"),
    ("frame_id", "<u8"),
    ("skeleton", "<u4"),
    ("track", "<i4"),
    ("from_predicted", "<i8"),
    ("score", "<f4"),
    ("point_id_start", "<u8"),
    ("point_id_end", "<u8"),
    ("tracking_score", "<f4"),
]
_SLP_POINTS = [("x", "<f8"), ("y", "<f8"), ("visible", "?"), ("complete", "?")]


def sleap_projects(path: Path, videos: Seen, corrected: bool = False) -> None:
    """Write a project as SLEAP does, format 1.0 with a video each where frames were corrected by hand, else 1.2."""
    corner = 0.5 if corrected else 0.0
    rows: list[tuple[int, ...]] = []
    instances: list[tuple[float, ...]] = []
    points: dict[bool, list[tuple[float, ...]]] = {False: [], True: []}

    def add(person: F64, track: int, by_user: bool, replaced: int) -> None:
        start = len(points[by_user])
        for x, y, score in person.tolist():
            points[by_user].append((x + corner, y + corner, score > 0, True, *(() if by_user else (score,))))
        kind = 0 if by_user else 1
        ends = start, len(points[by_user])
        instances.append((len(instances), kind, len(rows), 0, track, replaced, 0.8, *ends, 0.0))

    for number, frames in enumerate(videos.values()):
        for t, people in enumerate(frames):
            first = len(instances)
            for n, person in enumerate(people):
                wrong = corrected and (t + n) % 2 == 0  # by its track, or by the number
                add(person + [40.0 * wrong, 0, 0], n if t % 2 else -1, False, -1)
                if wrong:
                    add(person, n if t % 2 else -1, True, -1 if t % 2 else len(instances) - 1)
            rows.append((len(rows), number, t, first, len(instances)))
    order = [*range(1, 17), 0]
    metadata = {
        "nodes": [{"name": COCO17.joints[j], "weight": 1.0} for j in np.argsort(order)],
        "skeletons": [{"graph": {"name": "person"}, "links": [], "nodes": [{"id": n} for n in order]}],
    }
    with h5py.File(path, "w") as file:
        group = file.create_group("metadata")
        group.attrs["format_id"] = 1.0 if corrected else 1.2
        group.attrs["json"] = np.bytes_(json.dumps(metadata))
        file["videos_json"] = [
            np.bytes_(json.dumps({"backend": {"filename": f"D:\\footage\\{name}.mp4"}})) for name in videos
        ]
        file["frames"] = np.array(rows, _SLP_FRAMES)
        file["instances"] = np.array(instances, _SLP_INSTANCES)
        file["points"] = np.array(points[True], _SLP_POINTS)
        file["pred_points"] = np.array(points[False], [*_SLP_POINTS, ("score", "<f8")])


def sleap_project(path: Path, frames: list[list[F64]], joints: str, size: Size) -> None:
    sleap_projects(path, {"video": frames})


def sleap_csv(path: Path, frames: list[list[F64]], joints: str, size: Size) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        parts = [f"{joint}.{kind}" for joint in COCO17.joints for kind in ("x", "y", "score")]
        writer.writerow(["track", "frame_idx", "instance.score", *parts])
        for t, people in enumerate(frames):
            for n, person in enumerate(people):
                writer.writerow([f"track_{n}", t, 0.8, *person.ravel().tolist()])


def mediapipe_csv(path: Path, frames: list[list[F64]], joints: str, size: Size) -> None:
    order = JOINT_SETS["blazepose33"].joints
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        kinds = ("x", "y", "z", "visibility")
        writer.writerow(["frame", "person", *[f"{joint}_{kind}" for joint in order for kind in kinds]])
        for t, people in enumerate(frames):
            for n, person in enumerate(people):
                values = in_order(person / [*size, 1], order)  # shares of the image
                writer.writerow([t, n, *np.insert(values, 2, 0.1, axis=1).ravel().tolist()])


def mediapipe_long_csv(path: Path, frames: list[list[F64]], joints: str, size: Size) -> None:
    order = JOINT_SETS["blazepose33"].joints
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["frame", "person", "landmark", "x", "y", "z", "visibility"])
        for t, people in enumerate(frames):
            for n, person in enumerate(people):
                for j, (x, y, score) in enumerate(in_order(person / [*size, 1], order)):
                    writer.writerow([t, n, j, x, y, 0.0, score])


FORMATS: dict[str, tuple[Callable[[Path, list[list[F64]], str, Size], None], str, str]] = {
    "alphapose": (alphapose, ".json", "halpe26"),
    "alphapose_open": (alphapose_open, ".json", "coco18"),
    "mmpose": (mmpose, ".json", "coco17"),
    "coco_results": (coco_results, ".json", "coco17"),
    "coco_annotations": (coco_annotations, ".json", "named"),
    "deeplabcut_csv": (deeplabcut_csv, ".csv", "named"),
    "deeplabcut_hdf5": (deeplabcut_hdf5, ".h5", "named"),
    "sleap_hdf5": (sleap_hdf5, ".h5", "named"),
    "sleap_csv": (sleap_csv, ".csv", "named"),
    "sleap_project": (sleap_project, ".slp", "named"),
    "mediapipe_csv": (mediapipe_csv, ".csv", "named"),
    "mediapipe_long_csv": (mediapipe_long_csv, ".csv", "blazepose33"),
}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", ["{camera}_take2", "{camera}/result"])
def test_every_format_gives_the_same_people(
    form: str, name: str, short_session: Session, seen: Seen, tmp_path: Path
) -> None:
    write, suffix, joints = FORMATS[form]
    size = short_session.take("two_people").camera("cam01").size_px
    for camera, frames in seen.items():
        path = tmp_path / "in" / (name.format(camera=camera) + suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, frames, joints, size)
    result, warnings = run(short_session, tmp_path / "in")
    assert result["joints"] == joints
    assert [w for w in warnings if "shares of the image size" not in w] == []
    assert_same(short_session, seen, 0.6 if form.startswith("mediapipe") else 0.01)


def test_a_project_of_all_cameras_gives_what_was_corrected_by_hand(
    short_session: Session, seen: Seen, tmp_path: Path
) -> None:
    path = tmp_path / "labels.slp"
    sleap_projects(path, seen, corrected=True)
    result, warnings = run(short_session, path)
    assert result["joints"] == "named" and warnings == []
    assert_same(short_session, seen)

    with h5py.File(path, "r+") as file:
        table = file["instances"][:]
        table["point_id_end"][3] += 1
        file["instances"][:] = table
    with pytest.raises(CoreError, match="has 18 points, expected 17"):
        run(short_session, path, name="other")
    with h5py.File(path, "r+") as file:
        table = file["frames"][:]
        table["instance_id_end"][0] = 1 << 40
        file["frames"][:] = table
    with pytest.raises(CoreError, match="state people that it does not have"):
        run(short_session, path, name="other")


def test_contract_of_every_importer() -> None:
    for name in POSE2D_IMPORTERS:
        importer = POSE2D_IMPORTERS.get(name)
        assert importer.name == name and importer.title
        assert not importer.accepts([]) or importer.container == "folder"
