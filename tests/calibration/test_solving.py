"""Rigs calibrated from a synthetic recording, against exact truth; and reports on good and bad rigs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from core.board.observations import BoardObservations
from core.board.pattern import Board
from core.calibration.board.calibrate import BoardCalibration, calibrate_board
from core.calibration.board.config import CalibrateConfig
from core.calibration.board.cross_validation import load_residuals, save_residuals
from core.calibration.board.initial.intrinsics import fit_intrinsics
from core.calibration.board.metrics import measure, measure_rig
from core.calibration.board.report import assess_board
from core.calibration.checks import Finding, check_rig, fold_share
from core.errors import CancelledError, CoreError
from core.geometry.so3 import angle_rad
from core.progress import NullReporter, RecordingReporter
from core.synthetic.board_scene import board_scene, closeups
from core.synthetic.rigs import random_rig, ring_rig
from core.types.camera import CameraRig

pytestmark = pytest.mark.slow


BOARD = Board(columns=8, rows=6, square_mm=100, marker_mm=75)
TIME_OFFSETS_S = (0.03, -0.06, 0.0, 0.045)


@pytest.fixture(scope="module")
def rig() -> CameraRig:
    distortion = (-0.09, 0.015, 4e-4, -3e-4, 0.0)
    return ring_rig(4, radius_mm=3500, size_px=(1280, 720), distortion=distortion)


@pytest.fixture(scope="module")
def seen(rig: CameraRig) -> BoardObservations:
    return board_scene(rig, BOARD, seed=2, seconds=20, time_offset_s=TIME_OFFSETS_S)


@pytest.fixture(scope="module")
def solved(rig: CameraRig, seen: BoardObservations) -> BoardCalibration:
    return calibrate_board(
        seen, CalibrateConfig(board=BOARD), NullReporter(), intrinsics_views=[closeups(rig, BOARD, seed=3, images=25)]
    )


def errors(found: CameraRig, truth: CameraRig) -> tuple[float, float]:
    """Return the largest errors between pairs of cameras: distance as a share of the rig's size, angle in degrees."""
    names = found.names
    size = max(np.linalg.norm(truth[a].centre_mm - truth[b].centre_mm) for a in names for b in names)
    distance, angle = [], []
    for a in names:
        for b in names:
            for exact, rig in ((True, truth), (False, found)):
                Ra, ta = rig[a].pose
                Rb, tb = rig[b].pose
                R = Rb @ Ra.T
                if exact:
                    R_true, t_true = R, tb - R @ ta
                else:
                    distance.append(np.linalg.norm(tb - R @ ta - t_true) / size)
                    angle.append(float(angle_rad(R @ R_true.T)))
    return max(distance), float(np.degrees(max(angle)))


def worst(findings: list[Finding]) -> str:
    return max((f.level for f in findings), key=("ok", "warning", "error").index)


def test_poses_intrinsics_and_time_offsets_are_estimated(rig: CameraRig, solved: BoardCalibration) -> None:
    assert solved.posed == rig.names
    distance, angle = errors(solved.rig, rig)
    assert distance < 0.004
    assert angle < 0.4
    offset_s = np.array([c.time_offset_s for c in solved.rig])
    assert solved.time_offset
    assert offset_s - np.median(offset_s) == pytest.approx(
        np.array(TIME_OFFSETS_S) - np.median(TIME_OFFSETS_S), abs=0.003
    )
    for camera in solved.rig:
        assert camera.K[0, 0] == pytest.approx(rig[camera.name].K[0, 0], rel=0.004)
    assert solved.solution.sigma_px == pytest.approx(0.3, rel=0.15)


def test_synchronised_cameras_get_no_time_offset(rig: CameraRig) -> None:
    align = board_scene(rig, BOARD, seed=5, seconds=14)
    known = {c.name: c.replace(R=None, t_mm=None) for c in rig}
    found = calibrate_board(align, CalibrateConfig(board=BOARD, fixed_intrinsics=True), NullReporter(), known=known)
    assert max(abs(c.time_offset_s) for c in found.rig) < 0.003
    distance, angle = errors(found.rig, rig)
    assert distance < 0.002
    assert angle < 0.1


def test_errors_agree_with_their_standard_errors(rig: CameraRig, solved: BoardCalibration) -> None:
    root = int(np.flatnonzero((solved.solution.sd(slice(0, 6)) == 0).all(1))[0])
    offset_s = np.array([c.time_offset_s for c in solved.rig])
    sd = solved.solution.sd(slice(6, 7))[:, 0]
    off = (offset_s - offset_s[root]) - (np.array(TIME_OFFSETS_S) - TIME_OFFSETS_S[root])
    others = np.arange(4) != root
    assert (np.abs(off[others]) < 5 * sd[others] + 1e-4).all()


def test_a_good_rig_passes_the_report(solved: BoardCalibration, seen: BoardObservations) -> None:
    findings = assess_board(measure(solved), solved.rig, seen, calibration=solved)
    assert worst(findings) == "ok", [f.message for f in findings if f.level != "ok"]
    assert any(f.check == "time_offset" and "+" in f.message for f in findings)


@pytest.fixture(scope="module")
def bad_rigs(solved: BoardCalibration) -> dict[str, CameraRig]:
    rig, poses, images = solved.rig, solved.poses, solved.images
    second = rig.cameras[1]
    # The second pose of a flat board in one image.
    both = np.isfinite(poses.error_px).all(1)
    p = int(np.flatnonzero((images.view == 1) & both)[10])
    R, t = second.pose
    board_R, board_t = R.T @ poses.R[p, 0], R.T @ (poses.t_mm[p, 0] - t)
    mirrored_R = poses.R[p, 1] @ board_R.T
    mirrored = second.replace(R=mirrored_R, t_mm=poses.t_mm[p, 1] - mirrored_R @ board_t)

    def with_second(camera: object) -> CameraRig:
        return dataclasses.replace(rig, cameras=(rig.cameras[0], camera, *rig.cameras[2:]))  # type: ignore[arg-type]

    return {
        "mirrored pose": with_second(mirrored),
        "focal length 10 % off": with_second(second.replace(K=np.diag([1.1, 1.1, 1]) @ second.K)),
        "moved by 5 cm": with_second(second.replace(t_mm=t + (50, 0, 0))),
        "delayed by 80 ms": with_second(second.replace(time_offset_s=second.time_offset_s + 0.08)),
    }


@pytest.mark.parametrize("name", ["mirrored pose", "focal length 10 % off", "moved by 5 cm", "delayed by 80 ms"])
def test_errors_of_bad_rigs_are_reported(name: str, bad_rigs: dict[str, CameraRig], seen: BoardObservations) -> None:
    bad = bad_rigs[name]
    findings = assess_board(measure_rig(bad, seen), bad, seen)
    assert worst(findings) == "error"
    assert any(f.level == "error" and f.camera == bad.names[1] for f in findings)


def test_exchanged_cameras_are_named(solved: BoardCalibration, seen: BoardObservations) -> None:
    names = list(seen.cameras)
    names[0], names[2] = names[2], names[0]
    exchanged = dataclasses.replace(seen, cameras=tuple(names))
    findings = assess_board(measure_rig(solved.rig, exchanged), solved.rig, exchanged)
    assert any(f.check == "names" and names[0] in f.message and names[2] in f.message for f in findings)


def test_a_wrong_scale_is_reported_where_anything_reveals_it(solved: BoardCalibration, seen: BoardObservations) -> None:
    quality, rig = measure(solved), solved.rig
    a, b = rig.names[:2]
    apart = float(np.linalg.norm(rig[a].centre_mm - rig[b].centre_mm))
    measured = {"distance_mm": apart * 1.06, "between": (a, b)}
    assert worst(assess_board(quality, rig, seen, **measured)) == "error"  # type: ignore[arg-type]
    measured["distance_mm"] = apart * 1.002
    assert worst(assess_board(quality, rig, seen, **measured)) == "ok"  # type: ignore[arg-type]
    assert worst(assess_board(quality, rig, seen, marker_mm=70.0)) == "error"
    larger = dataclasses.replace(rig, cameras=tuple(c.replace(t_mm=1.08 * c.pose[1]) for c in rig))
    assert worst(assess_board(quality, rig, seen, before=larger)) == "error"
    assert worst(assess_board(quality, rig, seen, before=rig)) == "ok"


def test_a_changed_focal_length_is_reported(solved: BoardCalibration, seen: BoardObservations) -> None:
    known = {solved.rig.names[0]: solved.rig.cameras[0].replace(K=np.diag([1.2, 1.2, 1]) @ solved.rig.cameras[0].K)}
    findings = assess_board(measure(solved), solved.rig, seen, known=known)
    assert any(f.check == "intrinsics" and f.level == "error" for f in findings)


def test_a_camera_without_views_stays_uncalibrated_with_a_reason(rig: CameraRig, seen: BoardObservations) -> None:
    name = seen.cameras[2]
    few = np.unique(seen.frame[seen.view == 2])[:3]
    thinned = seen.where((seen.view != 2) | np.isin(seen.frame, few))
    known = {c.name: c.replace(R=None, t_mm=None) for c in rig if c.name != name}
    found = calibrate_board(thinned, CalibrateConfig(board=BOARD, fixed_intrinsics=True), NullReporter(), known=known)
    assert not found.rig[name].posed
    assert name in found.missing[name]
    findings = assess_board(measure(found), found.rig, thinned, calibration=found)
    assert any(f.check == "calibrated" and f.level == "error" and f.remedy for f in findings)
    explained = check_rig(found.rig).with_findings(findings)
    assert not any(f.check == "pose" and f.camera == name for f in explained.findings)


def test_recordings_without_detections_or_shared_views_are_refused(seen: BoardObservations) -> None:
    config = CalibrateConfig(board=BOARD)
    with pytest.raises(CoreError, match="not found"):
        calibrate_board(seen.where(np.zeros(len(seen), bool)), config, NullReporter())
    alone = seen.where(seen.view == 1)
    with pytest.raises(CoreError, match="No two cameras"):
        calibrate_board(alone, config, NullReporter())
    with pytest.raises(CancelledError):
        calibrate_board(seen, config, RecordingReporter(cancel_after=1))


def test_distortion_does_not_fold_where_the_board_was_never_seen() -> None:
    """A board near the centre does not constrain the corners: distortion must stay one to one up to them."""
    rig = random_rig(np.random.default_rng(3), 3, size_px=(1280, 720))
    seen = board_scene(rig, BOARD, seed=8, seconds=10, room_mm=250, noise_px=0.6)
    found = calibrate_board(seen, CalibrateConfig(board=BOARD), NullReporter())
    assert all(fold_share(c) == 1 for c in found.rig if c.posed)


def test_a_fisheye_is_fitted() -> None:
    base = random_rig(np.random.default_rng(5), 1, size_px=(1280, 720)).cameras[0]
    K = np.array([[420, 0, 650], [0, 421, 350], [0, 0, 1.0]])
    fisheye = base.replace(K=K, distortion=np.array([0.03, -0.01, 0.004, -0.001]), distortion_model="fisheye")
    views = closeups(CameraRig(cameras=(fisheye,)), BOARD, seed=1, images=30)
    fit = fit_intrinsics(views, views.cameras, "fisheye")[fisheye.name]
    assert fit.camera.K[:2] == pytest.approx(K[:2], abs=2.5)
    assert fit.rmse_px < 0.6


def test_observations_and_residuals_on_disk(
    seen: BoardObservations, solved: BoardCalibration, tmp_path: object
) -> None:
    path = tmp_path / "observations.npz"  # type: ignore[operator]
    seen.save(path)
    again = BoardObservations.load(path)
    assert again.board == seen.board
    assert again.cameras == seen.cameras
    assert (again.xy_px == seen.xy_px).all()
    save_residuals(path.with_name("residuals.npz"), solved.prediction, len(seen))
    left_out = load_residuals(path.with_name("residuals.npz"))["loco_px"]
    known = np.isfinite(left_out).all(1)
    assert np.median(np.linalg.norm(left_out[known], axis=1)) == pytest.approx(
        np.median(solved.prediction.of()), rel=1e-3
    )
    data = path.read_bytes()
    for cut in (0, 10, len(data) // 2, len(data) - 5):
        path.write_bytes(data[:cut])
        with pytest.raises(CoreError):
            BoardObservations.load(path)
    with pytest.raises(CoreError, match="not sorted"):
        dataclasses.replace(seen, view=seen.view[::-1], frame=seen.frame[::-1])


@pytest.mark.parametrize(
    "board",
    [
        Board(kind="markers", columns=1, rows=1, square_mm=400, marker_mm=400),
        Board(kind="chessboard", columns=9, rows=6, square_mm=80),
    ],
)
def test_other_boards_calibrate_cameras_with_known_intrinsics(board: Board, rig: CameraRig) -> None:
    offset_s = (0.0, 0.05, 0.0, -0.03)
    seen = board_scene(rig, board, seed=2, seconds=25, time_offset_s=offset_s)
    known = {c.name: c.replace(R=None, t_mm=None) for c in rig}
    found = calibrate_board(seen, CalibrateConfig(board=board, fixed_intrinsics=True), NullReporter(), known=known)
    distance, angle = errors(found.rig, rig)
    assert distance < 0.004
    assert angle < 0.3
    time_offset = np.array([c.time_offset_s for c in found.rig])
    assert time_offset - np.median(time_offset) == pytest.approx(np.array(offset_s) - np.median(offset_s), abs=0.004)
