"""Scoring against a user's truth: files of the program's own exporters, turned, moved and shifted in time."""

import csv
import dataclasses
import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from core.errors import CoreError
from core.evaluation.report import BASELINE_KEY, RTS_KEY, TRAINED_KEY, MethodResult
from core.evaluation.truth.fit import fit_truth
from core.evaluation.truth.names import joint_of_marker
from core.evaluation.truth.read import read_truth
from core.evaluation.truth.report import truth_report
from core.evaluation.truth.trajectories import Trajectories
from core.export import EXPORTERS
from core.export.exporter import ExportedResult, Origin, resolve_options
from core.synthetic import people
from core.types import COCO17, PANOPTIC15, Pose3DSequence

FPS, T = 30.0, 180
ORIGIN = Origin(take="walk", poses="truth", rig="", version="test")
ROTATION = Rotation.from_euler("xyz", [20, -35, 100], degrees=True).as_matrix()
OFFSET_S, MOVED_MM = 1.37, np.array([1500.0, -4000.0, 300.0])


@pytest.fixture(scope="module")
def walk():
    """Return two people at 120 frames a second, of whom the take has every fourth frame of a part."""
    return people.walkers(2, 4 * T + 400, np.random.default_rng(3), fps=4 * FPS)


def take_of(walk, noise_mm=0.0, seed=1):
    """Return what a method finds: the people at 30 frames a second from 1.37 s on, with noise."""
    time_s = np.arange(T) / FPS
    xyz = Trajectories(walk.time_s, walk.xyz_mm, 0.0).at(time_s + OFFSET_S)
    xyz = xyz + np.random.default_rng(seed).normal(0, noise_mm, xyz.shape)
    return Pose3DSequence(skeleton=COCO17, time_s=time_s, xyz_mm=xyz, score=np.ones(xyz.shape[:3]), person_ids=(1, 2))


def elsewhere(walk):
    """Return the people in other coordinates: take = ROTATION x + MOVED_MM."""
    return dataclasses.replace(walk, xyz_mm=(walk.xyz_mm - MOVED_MM) @ ROTATION)


def without(sequence, missing):
    xyz = np.where(missing[..., None], np.nan, sequence.xyz_mm)
    return dataclasses.replace(sequence, xyz_mm=xyz, score=np.where(missing, 0.0, sequence.score))


def result(sequence, **named):
    return MethodResult.of(lambda: sequence, lambda _: 1.0, loco=None, **named)


def export(walk, tmp_path, name, **options):
    exporter = EXPORTERS.get(name)
    written = ExportedResult(poses=walk, origin=ORIGIN)
    files = exporter.write(written, tmp_path / "truth", resolve_options(exporter, **options))
    return [file for file in files if file.suffix != ".json"]


def scored(files, sequence, **settings):
    return truth_report(
        read_truth(files, FPS), {BASELINE_KEY: result(sequence)}, sequence.time_s, np.arange(40, 60), **settings
    )


FORMATS = [
    ("csv", {"units": "m", "up": "y"}),
    ("csv", {}),
    ("c3d", {}),
    ("c3d", {"units": "m", "up": "y"}),
    ("trc", {}),
    ("trc", {"units": "mm", "up": "z"}),
    ("netcdf", {}),
]


@pytest.mark.parametrize(("name", "options"), FORMATS)
def test_the_error_of_a_method_comes_back_from_a_turned_moved_and_shifted_file(walk, tmp_path, name, options):
    files = export(elsewhere(walk), tmp_path, name, **options)
    found = scored(files, take_of(walk, 20.0))
    metrics, fit = found["methods"][BASELINE_KEY], found["fit"]
    # The mean length of a normal vector with 20 mm on each axis is 31.9 mm, its median 30.8 mm.
    assert metrics["mpjpe_mm"] == pytest.approx(31.9, abs=0.7)
    assert metrics["median_mm"] == pytest.approx(30.8, abs=0.7)
    assert fit["offset_s"] == pytest.approx(-OFFSET_S, abs=0.004)
    assert fit["best_scale"] == pytest.approx(1.0, abs=0.002)
    assert not fit["mirrored"]
    assert (metrics["recall"], metrics["precision"], metrics["covered"]) == (1.0, 1.0, 1.0)
    assert metrics["pck_100_mm"] > 0.995 > 0.95 > metrics["pck_50_mm"] > 0.85
    assert metrics["pcp"] > 0.99
    assert found["joints"] == sorted(COCO17.joints, key=found["joints"].index)
    assert not found["unmatched"]
    assert found["people"] == 2
    text = " ".join(found["notes"])
    assert "is the time of the take, found from the motion" in text
    assert "one fit for the whole take" in text
    json.dumps(found, allow_nan=False)


def test_the_fit_is_the_known_transform(walk, tmp_path):
    found = scored(export(elsewhere(walk), tmp_path, "netcdf"), take_of(walk))
    fit = found["fit"]
    np.testing.assert_allclose(fit["rotation"], ROTATION, atol=2e-3)
    np.testing.assert_allclose(fit["translation_mm"], MOVED_MM, atol=5.0)
    assert found["methods"][BASELINE_KEY]["mpjpe_mm"] < 2.0


def test_left_handed_axes_are_said(walk, tmp_path):
    mirrored = dataclasses.replace(elsewhere(walk), xyz_mm=elsewhere(walk).xyz_mm * [1.0, 1.0, -1.0])
    found = scored(export(mirrored, tmp_path, "csv"), take_of(walk, 20.0))
    assert found["fit"]["mirrored"]
    assert any("left-handed" in note for note in found["notes"])
    assert found["methods"][BASELINE_KEY]["mpjpe_mm"] == pytest.approx(31.9, abs=0.7)


def test_without_a_fit_the_coordinates_and_the_clock_are_taken_as_they_are(walk, tmp_path):
    method = take_of(walk, 20.0)
    files = export(walk, tmp_path, "csv")
    found = scored(files, method, mode="none", offset_s=-OFFSET_S)["methods"][BASELINE_KEY]
    assert found["mpjpe_mm"] == pytest.approx(31.9, abs=0.7)
    moved = dataclasses.replace(walk, xyz_mm=walk.xyz_mm + [0.0, 0.0, 100.0])
    found = scored(export(moved, tmp_path, "csv"), method, mode="none", offset_s=-OFFSET_S)
    assert found["methods"][BASELINE_KEY]["mpjpe_mm"] > 100
    assert any("Nothing was fitted" in note for note in found["notes"])


def test_a_wrong_scale_is_pointed_out_and_fitted_only_if_wanted(walk, tmp_path):
    larger = dataclasses.replace(elsewhere(walk), xyz_mm=1.05 * elsewhere(walk).xyz_mm)
    files = export(larger, tmp_path, "c3d")
    rigid, scaled = (scored(files, take_of(walk, 5.0), mode=mode) for mode in ("rigid", "scaled"))
    assert rigid["fit"]["best_scale"] == pytest.approx(1 / 1.05, abs=0.003)
    assert any("fit best when scaled by 0.95" in note for note in rigid["notes"])
    assert rigid["methods"][BASELINE_KEY]["mpjpe_mm"] > 25
    assert scaled["methods"][BASELINE_KEY]["mpjpe_mm"] < 9


def test_missing_joints_and_people_are_errors(walk, tmp_path):
    files = export(elsewhere(walk), tmp_path, "netcdf")
    everything = take_of(walk, 10.0)
    missing = np.zeros(everything.score.shape, bool)
    missing[:, 1], missing[::2, 0, 9] = True, True
    found = scored(files, without(everything, missing))["methods"][BASELINE_KEY]
    assert (found["recall"], found["precision"]) == (0.5, 1.0)
    assert found["covered"] == pytest.approx(0.5 - 0.25 / 17, abs=1e-3)
    assert found["mpjpe_mm"] < 17
    assert found["mpjpe_all_mm"] == pytest.approx(16 * found["covered"] + 500 * (1 - found["covered"]), abs=3)
    assert found["pck_150_mm"] == pytest.approx(found["covered"], abs=1e-3)


def test_people_who_are_not_there_lower_the_precision(walk, tmp_path):
    method = take_of(walk, 10.0)
    ghost = method.xyz_mm[:, :1] + [0.0, 5000.0, 0.0]
    more = dataclasses.replace(
        method, xyz_mm=np.concatenate([method.xyz_mm, ghost], 1), score=np.ones((T, 3, 17)), person_ids=(1, 2, 3)
    )
    found = scored(export(elsewhere(walk), tmp_path, "c3d"), more)["methods"][BASELINE_KEY]
    assert found["recall"] == 1.0
    assert found["precision"] == pytest.approx(2 / 3, abs=1e-3)


def test_all_methods_get_one_fit_and_the_verdict_is_against_the_better_triangulation(walk, tmp_path):
    truth = read_truth(export(elsewhere(walk), tmp_path, "trc"), FPS)
    few = np.arange(T)[:, None, None] % 10 + np.zeros((T, 2, 17)) > 0
    methods = {
        BASELINE_KEY: result(take_of(walk, 40.0)),
        RTS_KEY: result(take_of(walk, 20.0, 2), smoothing="rts"),
        TRAINED_KEY: result(take_of(walk, 10.0, 3), run="quick"),
    }
    time_s = methods[BASELINE_KEY].load().time_s
    found = truth_report(truth, methods, time_s, np.arange(40, 60))
    assert found["comparison"]["better"] == TRAINED_KEY
    assert found["comparison"]["second"] == RTS_KEY
    assert found["verdict"].startswith(
        "Against the truth, the trained networks did better than triangulation with RTS smoothing: mean error 15."
    )
    errors = [found["methods"][key]["mpjpe_mm"] for key in methods]
    np.testing.assert_allclose(errors, [63.8, 31.9, 16.0], rtol=0.03)
    assert found["methods"][TRAINED_KEY]["held_out_mpjpe_mm"] == pytest.approx(16.0, rel=0.05)
    methods[TRAINED_KEY] = result(without(take_of(walk, 10.0, 3), few), run="quick")
    found = truth_report(truth, methods, time_s, np.arange(40, 60))
    assert found["comparison"]["reason"] == "coverage"
    assert "which found far fewer joints" in found["verdict"]


def test_joints_that_a_joint_set_lacks_are_named_and_not_counted(walk, tmp_path):
    truth = read_truth(export(elsewhere(walk), tmp_path, "netcdf"), FPS)
    method = take_of(walk, 10.0)
    xyz = COCO17.select(method.xyz_mm, *PANOPTIC15.joints)
    other = dataclasses.replace(method, skeleton=PANOPTIC15, xyz_mm=xyz, score=np.ones(xyz.shape[:3]))
    methods = {BASELINE_KEY: result(method), TRAINED_KEY: result(other, run="quick")}
    found = truth_report(truth, methods, method.time_s, np.arange(40, 60))
    assert found["methods"][TRAINED_KEY]["covered"] == 1.0
    assert len(found["joints"]) == 13
    assert any("left_eye" in note and "joint set" in note for note in found["notes"])


@pytest.mark.parametrize(
    ("marker", "joint"),
    [
        ("LShoulder", "left_shoulder"),
        ("RAnkle", "right_ankle"),
        ("L_ankle", "left_ankle"),
        ("left_knee", "left_knee"),
        ("P1:right_wrist", "right_wrist"),
        ("Subject 1:Left Elbow", "left_elbow"),
        ("knee_r", "right_knee"),
        ("Hip", "mid_hip"),
        ("RHip", "right_hip"),
        ("midHip", "mid_hip"),
        ("Neck", "neck"),
        ("Nose", "nose"),
        ("LHJC", "left_hip"),
        ("lEar", "left_ear"),
        ("RBigToe", None),
        ("LASI", None),
        ("Head", None),
        ("ankle", None),
    ],
)
def test_names_of_other_programs(marker, joint):
    assert joint_of_marker(marker) == joint


POSE2SIM = {
    "Hip": "mid_hip", "RHip": "right_hip", "RKnee": "right_knee", "RAnkle": "right_ankle", "LHip": "left_hip",
    "LKnee": "left_knee", "LAnkle": "left_ankle", "Neck": "neck", "Nose": "nose", "RShoulder": "right_shoulder",
    "RElbow": "right_elbow", "RWrist": "right_wrist", "LShoulder": "left_shoulder", "LElbow": "left_elbow",
    "LWrist": "left_wrist",
}  # fmt: skip


def wide_csv(walk, path, person, heads, time=True, scale=0.001, delimiter=","):
    """Write one person, one row a frame, with a column per marker and axis; `heads` names it."""
    points = COCO17.select(walk.xyz_mm[:, person], *POSE2SIM.values()) * scale
    with path.open("w", newline="") as file:
        rows = csv.writer(file, delimiter=delimiter)
        rows.writerow([*(["time"] if time else []), *heads(POSE2SIM), *heads(["RBigToe"])])
        for t, row in zip(walk.time_s, points, strict=True):
            cells = [*([t] if time else []), *row.ravel(), 0, 0, 0]
            text = [f"{c:.5f}" for c in cells]
            rows.writerow([c.replace(".", ",") for c in text] if delimiter == ";" else text)
    return path


@pytest.mark.parametrize(
    ("heads", "delimiter"),
    [
        (lambda names: [f"{n}_{a}" for n in names for a in "xyz"], ","),
        (lambda names: [f"{n}.{a}" for n in names for a in "XYZ"], ";"),
        (lambda names: [f"{a}_{n}" for n in names for a in "xyz"], "\t"),
        (lambda names: [f"{n} {a} (m)" for n in names for a in "XYZ"], ","),
    ],
)
def test_wide_tables_with_the_names_of_pose2sim(walk, tmp_path, heads, delimiter):
    file = wide_csv(elsewhere(walk), tmp_path / "subject.csv", 1, heads, delimiter=delimiter)
    truth = read_truth([file], FPS)
    assert truth.unmatched == ("RBigToe",)
    assert set(truth.joints) == set(POSE2SIM.values())
    found = scored([file], take_of(walk, 20.0))
    metrics = found["methods"][BASELINE_KEY]
    assert metrics["mpjpe_mm"] == pytest.approx(31.9, abs=2.0)  # Neck and hip are means of two noisy joints.
    assert metrics["recall"] == 1.0
    assert metrics["precision"] == pytest.approx(0.5, abs=0.01)
    text = " ".join(found["notes"])
    assert "RBigToe" in text
    assert "in m" in text


def test_a_table_with_rows_of_titles_as_of_deeplabcut(walk, tmp_path):
    moved, path = elsewhere(walk), tmp_path / "dlc.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        names = [joint for joint in COCO17.joints for _ in "xyz"]
        rows.writerow(["scorer", *["net"] * 102])
        rows.writerow(["individuals", *["ann"] * 51, *["ben"] * 51])
        rows.writerow(["bodyparts", *names, *names])
        rows.writerow(["coords", *"xyz" * 34])
        for t in range(len(moved.time_s)):
            rows.writerow([t, *np.round(moved.xyz_mm[t].ravel(), 2)])
    truth = read_truth([path], 4 * FPS)
    assert truth.people == ("ann", "ben")
    np.testing.assert_allclose(truth.time_s, walk.time_s, atol=1e-6)
    assert "120 frames a second" in truth.notes[0]
    assert "states no unit; it was read in mm" in truth.notes[1]
    np.testing.assert_allclose(truth.xyz_mm[:, 1, truth.joints.index("nose")], moved.xyz_mm[:, 1, 0], atol=0.01)


def test_sparse_truth_is_compared_at_its_own_frames_without_a_time_fit(walk, tmp_path):
    method = take_of(walk, 20.0)
    seen = Trajectories(walk.time_s, elsewhere(walk).xyz_mm, 0.0).at(np.arange(6.0) + OFFSET_S)
    sparse = dataclasses.replace(walk, time_s=np.arange(6.0), xyz_mm=seen, score=np.ones(seen.shape[:3]))
    found = scored(export(sparse, tmp_path, "csv"), method)
    assert found["frames"] == 6
    assert found["methods"][BASELINE_KEY]["mpjpe_mm"] == pytest.approx(31.9, abs=3.0)
    assert any("not fitted below 10 frames a second" in note for note in found["notes"])


def test_a_unit_that_is_no_persons_size_is_not_believed(walk, tmp_path):
    file = export(walk, tmp_path, "trc", units="m")[0]
    assert read_truth([file], FPS).notes[0].endswith("is in m.")
    file.write_text(file.read_text().replace("\tm\t", "\tmm\t", 1))
    truth = read_truth([file], FPS)
    assert "states mm, which is no person's size; it was read in m" in truth.notes[0]
    assert 1200 < np.nanmax(np.ptp(truth.xyz_mm, axis=2)) < 2500


def test_a_method_with_large_errors_gaps_and_biased_joints_is_aligned_too(walk, tmp_path):
    rng = np.random.default_rng(4)
    method = take_of(walk, 60.0)
    bias = rng.normal(0, 40.0, (17, 3))
    rough = dataclasses.replace(method, xyz_mm=method.xyz_mm + bias)
    rough = without(rough, rng.random((T, 2, 17)) < 0.3)
    # Of the two people, the truth has one, and for a part of the time.
    part = slice(250, 700)
    alone = dataclasses.replace(
        elsewhere(walk),
        time_s=walk.time_s[part] + 10.0,
        xyz_mm=elsewhere(walk).xyz_mm[part, 1:],
        score=walk.score[part, 1:],
        person_ids=(7,),
    )
    found = scored(export(alone, tmp_path, "csv"), rough)
    assert found["fit"]["offset_s"] == pytest.approx(-OFFSET_S - 10.0, abs=0.02)
    metrics = found["methods"][BASELINE_KEY]
    assert metrics["covered"] == pytest.approx(0.7, abs=0.03)
    assert metrics["recall"] == 1.0
    expected = np.linalg.norm(bias + rng.normal(0, 60.0, (5000, 17, 3)), axis=-1).mean()
    assert metrics["mpjpe_mm"] == pytest.approx(expected, rel=0.1)


def test_files_that_are_none_are_refused_with_the_cause(walk, tmp_path):
    with pytest.raises(CoreError, match="does not exist"):
        read_truth([tmp_path / "none.csv"], FPS)
    wrong = tmp_path / "truth.fbx"
    wrong.write_text("x")
    with pytest.raises(CoreError, match="no file of markers"):
        read_truth([wrong], FPS)
    table = tmp_path / "table.csv"
    table.write_text("time,LKnee_x,LKnee_y,LKnee_z\n0,1,2,3\n")
    with pytest.raises(CoreError, match="only 1 are joints"):
        read_truth([table], FPS)
    table.write_text("time,a,b\n0,1,2\n")
    with pytest.raises(CoreError, match="no columns of marker positions"):
        read_truth([table], FPS)
    broken = tmp_path / "broken.c3d"
    broken.write_bytes(b"no c3d")
    with pytest.raises(CoreError, match="cannot be read"):
        read_truth([broken], FPS)


def test_people_of_another_take_are_refused_or_said_to_be_far(walk):
    other = people.walkers(1, 400, np.random.default_rng(9), fps=FPS)
    method = take_of(walk)
    fit = fit_truth([method.xyz_mm], method.time_s, Trajectories(other.time_s, other.xyz_mm, 0.0), other.time_s)
    own = fit_truth([method.xyz_mm], method.time_s, Trajectories(walk.time_s, walk.xyz_mm, 0.0), walk.time_s)
    assert own.residual_mm < 2 < 50 < fit.residual_mm
