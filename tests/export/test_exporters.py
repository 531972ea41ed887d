"""Exported files read back with independent readers, with exact values."""

from __future__ import annotations

import csv
import io
import json
from contextlib import redirect_stdout
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from core.cli import main
from core.errors import CoreError
from core.export import (
    EXPORTERS,
    Content,
    ExportedResult,
    ExportOptions,
    Origin,
    default_formats,
    resolve_options,
    suitable_formats,
    write_result,
)
from core.types import COCO17, PANOPTIC15, Pose3DSequence
from core.types.skeleton import Skeleton

ORIGIN = Origin(take="walk", poses="baseline", rig="0123456789abcdef", version="selfpose-studio 9.9")
T, P, J = 7, 2, len(PANOPTIC15)
FLOAT32 = 2.0**-24
"""Largest relative rounding error of a C3D coordinate."""


@pytest.fixture
def poses() -> Pose3DSequence:
    """Two people: the first lacks a joint in one frame, the second is absent for three frames."""
    rng = np.random.default_rng(5)
    xyz = rng.uniform(-3000, 3000, (T, P, J, 3))
    score = np.round(rng.uniform(0.2, 1, (T, P, J)), 4)
    for gap in [(2, 0, 4), (slice(3, 6), 1)]:
        xyz[gap], score[gap] = np.nan, 0
    return Pose3DSequence(
        skeleton=PANOPTIC15,
        time_s=np.arange(T) / 50,
        xyz_mm=xyz,
        score=score,
        person_ids=(3, 11),
        provenance={"method": "test", "rig": ORIGIN.rig},
    )


def write(name: str, poses: Pose3DSequence, folder: Path, **choices: str) -> list[Path]:
    options = resolve_options(EXPORTERS.get(name), **choices)  # type: ignore[arg-type]
    result = ExportedResult(poses=poses, origin=ORIGIN)
    return write_result(name, result, folder / "out" / "walk_baseline", options)


def y_up(xyz: np.ndarray) -> np.ndarray:
    """Convert to y up, written out by hand: z becomes y, and y becomes -z."""
    return np.stack([xyz[..., 0], xyz[..., 2], -xyz[..., 1]], -1)


POINT_FORMATS = suitable_formats({"points"})


@pytest.mark.parametrize("name", POINT_FORMATS)
def test_contract(name: str, poses: Pose3DSequence, tmp_path: Path) -> None:
    exporter = EXPORTERS.get(name)
    options = resolve_options(exporter)
    assert options == ExportOptions(units=exporter.units[0], up=exporter.ups[0])
    assert exporter.needs and set(exporter.needs) <= set(get_args(Content))
    sentence = exporter.describe(options)
    assert sentence.endswith(".") and f"in {options.units} " in sentence and exporter.title
    files = write(name, poses, tmp_path)
    assert files and all(f.parent == tmp_path / "out" and f.name.startswith("walk_baseline") for f in files)
    assert sorted(files) == sorted((tmp_path / "out").iterdir()), "no other file is left"


@pytest.mark.parametrize("name", POINT_FORMATS)
def test_joints_come_from_the_skeleton_of_the_poses(name: str, tmp_path: Path) -> None:
    skeleton = Skeleton(name="stick", joints=("top", "end"), bones=((0, 1),), root=0, mirror=(0, 1))
    poses = Pose3DSequence(
        skeleton=skeleton,
        time_s=np.arange(3) / 10,
        xyz_mm=np.arange(18.0).reshape(3, 1, 2, 3),
        score=np.ones((3, 1, 2)),
        person_ids=(1,),
    )
    content = b"".join(path.read_bytes() for path in write(name, poses, tmp_path))
    assert b"top" in content and b"nose" not in content and b"left_knee" not in content


CENTRES = """
from core.export import Exporter


class CentreExporter(Exporter):
    title, needs, units, ups, constant_rate = "Centres", ("points",), ("m",), ("z",), False

    def describe(self, options):
        return f"The centre of each person, in {options.units} with {options.up} up."

    def write(self, result, stem, options):
        path = stem.with_suffix(".centres")
        path.write_text("\\n".join(str(person) for person in result.poses.person_ids))
        return [path]


EXPORTER = CentreExporter()
"""


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of an exporter that consists of one file and one line of the registry."""
    (tmp_path / "centres_for_test.py").write_text(CENTRES)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(EXPORTERS._entries, "centres", "centres_for_test:EXPORTER")
    return "centres"


def test_an_exporter_is_one_file_and_one_line(added: str, poses: Pose3DSequence, tmp_path: Path) -> None:
    test_contract(added, poses, tmp_path)
    assert default_formats({"points"})[-1] == added
    with pytest.raises(SystemExit), redirect_stdout(io.StringIO()) as printed:
        main(["export", "--help"])
    assert "centres" in printed.getvalue()


@pytest.mark.parametrize(
    ("needs", "missing"),
    [(("rotations",), "joint rotations"), (("points", "rotations", "mesh"), "joint rotations and a body mesh")],
)
def test_an_exporter_that_needs_more_than_a_result_has_is_refused(
    needs: tuple[str, ...],
    missing: str,
    added: str,
    poses: Pose3DSequence,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(EXPORTERS.get(added), "needs", needs, raising=False)
    assert added not in suitable_formats({"points"})
    with pytest.raises(CoreError, match=f"Centres needs {missing}, which these 3D poses do not have.") as refused:
        write(added, poses, tmp_path)
    assert "fit-body" in refused.value.hint and "c3d" in refused.value.hint and added not in refused.value.hint
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", POINT_FORMATS)
def test_a_folder_that_cannot_be_written_to_is_an_error(name: str, poses: Pose3DSequence, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file where a folder should be")
    with pytest.raises(CoreError, match="Cannot write to"):
        write(name, poses, tmp_path)


@pytest.mark.parametrize("name", POINT_FORMATS)
def test_poses_without_a_person_are_an_error(name: str, poses: Pose3DSequence, tmp_path: Path) -> None:
    empty = Pose3DSequence(
        skeleton=PANOPTIC15,
        time_s=poses.time_s,
        xyz_mm=np.full((T, 0, J, 3), np.nan),
        score=np.zeros((T, 0, J)),
        person_ids=(),
    )
    with pytest.raises(CoreError, match="contain no person"):
        write(name, empty, tmp_path)
    assert not (tmp_path / "out").exists()


def test_a_failed_export_leaves_the_old_file(
    poses: Pose3DSequence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = write("json", poses, tmp_path)
    before = path.read_bytes()
    monkeypatch.setattr("core.export.formats.json.DECIMALS", {})
    with pytest.raises(KeyError):
        write("json", poses, tmp_path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_options_that_a_format_does_not_support_are_refused() -> None:
    with pytest.raises(CoreError, match="NetCDF cannot be written in m"):
        resolve_options(EXPORTERS.get("netcdf"), units="m")
    with pytest.raises(CoreError, match="up axis y"):
        resolve_options(EXPORTERS.get("netcdf"), up="y")


@pytest.mark.filterwarnings("ignore:No analog data found in file")
@pytest.mark.parametrize(("units", "factor"), [("mm", 1.0), ("m", 0.001)])
def test_c3d(poses: Pose3DSequence, tmp_path: Path, units: str, factor: float) -> None:
    import c3d

    (path,) = write("c3d", poses, tmp_path, units=units)
    with path.open("rb") as file:
        reader = c3d.Reader(file)
        points = np.array([p for _, p, _ in reader.read_frames()])
    labels = [label.strip() for label in reader.point_labels]
    assert labels == [f"P{i}:{joint}" for i in (3, 11) for joint in PANOPTIC15.joints]
    assert reader.point_rate == pytest.approx(50)
    assert reader.get("POINT:UNITS").string_value.strip() == units
    assert reader.get("POINT:Y_SCREEN").string_array[0].strip() == "+Z"
    assert [s.strip() for s in reader.get("SUBJECTS:LABEL_PREFIXES").string_array] == ["P3:", "P11:"]
    assert reader.get("ORIGIN:RIG").string_array[0].strip() == ORIGIN.rig
    assert reader.get("MANUFACTURER:SOFTWARE").string_array[0].strip() == ORIGIN.version
    assert points.shape == (T, P * J, 5)
    valid = points[..., 3] >= 0
    expected = poses.xyz_mm.reshape(T, P * J, 3) * factor
    np.testing.assert_array_equal(valid, np.isfinite(expected).all(-1))
    np.testing.assert_allclose(points[valid][:, :3], expected[valid], rtol=2 * FLOAT32)


@pytest.mark.parametrize("people", [15, 16, 70])
def test_c3d_names_more_than_255_points(people: int, tmp_path: Path) -> None:
    import ezc3d

    from core.evaluation.truth.read import read_c3d_markers

    rng = np.random.default_rng(0)
    crowd = Pose3DSequence(
        skeleton=COCO17,
        time_s=np.arange(4) / 60,
        xyz_mm=rng.uniform(-2000, 2000, (4, people, 17, 3)),
        score=np.ones((4, people, 17)),
        person_ids=tuple(range(1, people + 1)),
    )
    (path,) = write("c3d", crowd, tmp_path)
    point = ezc3d.c3d(str(path))["parameters"]["POINT"]
    keys = ["LABELS", *(f"LABELS{part}" for part in range(2, 20))]
    labels = [label for key in keys if key in point for label in point[key]["value"]]
    assert labels == [f"P{p}:{joint}" for p in crowd.person_ids for joint in COCO17.joints]
    assert point["RATE"]["value"] == [60]
    assert len(read_c3d_markers(path, 60.0).people) == people


def test_c3d_refuses_more_points_than_it_can_name(tmp_path: Path) -> None:
    people = 420
    crowd = Pose3DSequence(
        skeleton=COCO17,
        time_s=np.arange(2) / 60,
        xyz_mm=np.zeros((2, people, 17, 3)),
        score=np.ones((2, people, 17)),
        person_ids=tuple(range(people)),
    )
    with pytest.raises(CoreError, match="420 people"):
        write("c3d", crowd, tmp_path)
    assert not list(tmp_path.rglob("*.c3d"))


def test_c3d_counts_more_frames_than_its_header_can(tmp_path: Path) -> None:
    """Two bytes count 65,535 frames; the rest must not be lost."""
    from c3d import Reader

    n = 65_600
    xyz = np.random.default_rng(1).uniform(-3000, 3000, (n, 1, J, 3)).astype(np.float32)
    long = Pose3DSequence(
        skeleton=PANOPTIC15, time_s=np.arange(n) / 50, xyz_mm=xyz, score=np.ones((n, 1, J)), person_ids=(1,)
    )
    (path,) = write("c3d", long, tmp_path)
    with path.open("rb") as file, pytest.warns(UserWarning, match="No analog data"):
        reader = Reader(file)
        last = None
        for number, points, _ in reader.read_frames():
            last = number, points
    assert last is not None and last[0] == n
    np.testing.assert_array_equal(last[1][:, :3], xyz[-1, 0])


def test_trc_is_what_opensim_expects(poses: Pose3DSequence, tmp_path: Path) -> None:
    import trc

    files = write("trc", poses, tmp_path)
    assert [f.name for f in files] == ["walk_baseline_P3.trc", "walk_baseline_P11.trc"]
    for column, path in enumerate(files):
        data = trc.TRCData()
        data.load(path)
        assert (data["Units"], data["DataRate"], data["NumFrames"], data["OrigNumFrames"]) == ("m", 50, T, T)
        assert data["Markers"] == list(PANOPTIC15.joints) and data["FileName"] == path.name
        assert data["Frame#"] == list(range(1, T + 1))
        np.testing.assert_allclose(data["Time"], poses.time_s, atol=5e-7)
        read = np.array([data[joint] for joint in PANOPTIC15.joints]).transpose(1, 0, 2)
        np.testing.assert_allclose(read, y_up(poses.xyz_mm[:, column]) / 1000, atol=0.51e-7)
    columns = {len(line.split("\t")) for line in files[0].read_text().splitlines()[6:]}
    assert columns == {2 + 3 * J}, "each row has a cell per coordinate"


def test_a_head_above_the_floor_is_up_on_y_in_trc(tmp_path: Path) -> None:
    import trc

    xyz = np.full((1, 1, len(COCO17), 3), np.nan)
    xyz[0, 0, COCO17.index("nose")] = [100, 200, 1600]
    standing = Pose3DSequence(
        skeleton=COCO17,
        time_s=[0.0],
        xyz_mm=xyz,
        score=np.isfinite(xyz).all(-1).astype(float),
        person_ids=(1,),
    )
    (path,) = write("trc", standing, tmp_path)
    data = trc.TRCData()
    data.load(path)
    assert data["nose"] == [pytest.approx([0.1, 1.6, -0.2])]
    (path,) = write("trc", standing, tmp_path, up="z", units="mm")
    data.load(path)
    assert data["nose"] == [pytest.approx([100, 200, 1600])]
    assert np.isnan(data["left_eye"]).all()


@pytest.mark.parametrize(("units", "factor"), [("mm", 1.0), ("cm", 0.1)])
def test_csv(poses: Pose3DSequence, tmp_path: Path, units: str, factor: float) -> None:
    table, origin = write("csv", poses, tmp_path, units=units)
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    xyz, score = np.full((T, P, J, 3), np.nan), np.zeros((T, P, J))
    for row in rows:
        at = int(row["frame"]), poses.person_ids.index(int(row["person"])), PANOPTIC15.index(row["joint"])
        score[at] = float(row["score"])
        if row[f"x_{units}"]:
            xyz[at] = [float(row[f"{axis}_{units}"]) for axis in "xyz"]
        assert float(row["time_s"]) == pytest.approx(poses.time_s[at[0]])
    assert len(rows) == (T * P - 3) * J
    np.testing.assert_allclose(xyz, poses.xyz_mm * factor, atol=0.51e-4)
    np.testing.assert_allclose(score, poses.score, atol=1e-9)
    made_by = json.loads(origin.read_text())
    assert (made_by["rig"], made_by["version"], made_by["units"]) == (ORIGIN.rig, ORIGIN.version, units)


@pytest.mark.parametrize("up", ["z", "y"])
def test_json(poses: Pose3DSequence, tmp_path: Path, up: str) -> None:
    (path,) = write("json", poses, tmp_path, up=up)
    data = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert (data["schema"], data["version"], data["units"], data["up"]) == ("selfpose-studio/poses3d", 1, "mm", up)
    assert data["origin"]["rig"] == ORIGIN.rig and data["provenance"]["method"] == "test"
    assert data["skeleton"]["joints"] == list(PANOPTIC15.joints)
    assert [tuple(b) for b in data["skeleton"]["bones"]] == list(PANOPTIC15.bones)
    assert data["fps"] == pytest.approx(50)
    expected = poses.xyz_mm if up == "z" else y_up(poses.xyz_mm)
    assert [[p["id"] for p in f["people"]] for f in data["frames"]] == [
        [i for i, there in zip(poses.person_ids, present, strict=True) if there] for present in poses.present
    ]
    for t, frame in enumerate(data["frames"]):
        assert frame["time_s"] == pytest.approx(poses.time_s[t])
        for person in frame["people"]:
            column = poses.person_ids.index(person["id"])
            read = np.array([p if p is not None else [np.nan] * 3 for p in person["xyz"]])
            np.testing.assert_allclose(read, expected[t, column], atol=0.51e-4)
            np.testing.assert_allclose(person["score"], poses.score[t, column], atol=1e-9)


@pytest.mark.slow
def test_netcdf(poses: Pose3DSequence, tmp_path: Path) -> None:
    import xarray

    (path,) = write("netcdf", poses, tmp_path)
    with xarray.open_dataset(path, engine="h5netcdf") as data:
        assert list(data["keypoints"].values) == list(PANOPTIC15.joints)
        assert list(data["individuals"].values) == ["person_3", "person_11"]
        position = data["position"].transpose("time", "individuals", "keypoints", "space")
        np.testing.assert_array_equal(position.values, poses.xyz_mm)
        confidence = data["confidence"].transpose("time", "individuals", "keypoints")
        np.testing.assert_array_equal(confidence.values, poses.score)
        assert position.attrs["units"] == "mm"
        assert json.loads(data.attrs["provenance"])["origin"]["rig"] == ORIGIN.rig
    again = Pose3DSequence.load(path)
    np.testing.assert_array_equal(again.xyz_mm, poses.xyz_mm)
    assert again.person_ids == poses.person_ids and again.provenance["method"] == "test"
