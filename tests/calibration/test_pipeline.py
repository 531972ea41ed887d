"""From videos of a board to a rig, through the verbs and real files; and real recordings, if present."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from core.board.observations import BoardObservations
from core.board.pattern import Board
from core.calibration.board.calibrate import calibrate_board
from core.calibration.board.config import CalibrateConfig
from core.calibration.board.detect_take import chosen_frames, detect_board, measure_marker
from core.calibration.board.session_board import session_board
from core.errors import CancelledError, CoreError
from core.files import read_json
from core.pipelines.verbs import verb
from core.progress import NullReporter, RecordingReporter
from core.session import Session
from core.session.ingest import ingest_videos
from core.session.times_table import read_times_table

sys.path.insert(0, str(Path(__file__).parent))
from board_videos import BOARD, film, small_rig

pytestmark = pytest.mark.slow


TIME_OFFSETS_S = (0.0, 0.06, 0.0)
FIELDS = {"columns": 5, "rows": 4, "square_mm": 120.0, "marker_mm": 90.0, "dictionary": "DICT_4X4_50", "back": "none"}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """A session with a take of a moving board, with one delayed camera, and one of the board on the floor."""
    root = tmp_path_factory.mktemp("board")
    rig = small_rig()
    session = Session.create(root / "session")
    wave = film(rig, root / "wave", time_offset_s=TIME_OFFSETS_S)
    floor = film(rig, root / "floor", seconds=1, static=True)
    ingest_videos(session, wave, kind="board", name="wave", reporter=NullReporter())
    ingest_videos(session, floor, kind="floor", name="floor", reporter=NullReporter())
    return session


@pytest.fixture(scope="module")
def result(session: Session) -> dict[str, object]:
    params = {"take": "wave", "floor_take": "floor", "calibration": {"board": FIELDS}}
    return verb("calibrate")(session, params, session.new_run("calibrate"), NullReporter())


def test_videos_become_a_rig(session: Session, result: dict[str, object]) -> None:
    truth, rig = small_rig(), session.require_rig()
    assert result["level"] in ("ok", "warning")
    assert result["missing"] == {}
    for camera in truth:
        found = rig[camera.name]
        assert found.centre_mm[2] == pytest.approx(camera.centre_mm[2], abs=25)
        assert found.K[0, 0] == pytest.approx(camera.K[0, 0], rel=0.01)
        for other in truth:
            apart = np.linalg.norm(found.centre_mm - rig[other.name].centre_mm)
            assert apart == pytest.approx(np.linalg.norm(camera.centre_mm - other.centre_mm), abs=25)
    offset_s = np.array([rig[c.name].time_offset_s for c in truth])
    assert offset_s - np.median(offset_s) == pytest.approx(TIME_OFFSETS_S, abs=0.004)


def test_all_results_are_stored(session: Session, result: dict[str, object]) -> None:
    folder = session.layout.calibration(str(result["calibration"]))
    seen = BoardObservations.load(folder.observations)
    assert seen.board == Board(**FIELDS)  # type: ignore[arg-type]
    assert folder.residuals.exists()
    report = read_json(session.layout.rig_report)
    assert report["folder"] == folder.name
    assert report["quality"]["loco_median_px"] < 1
    assert report["accuracy"]["median_mm"]
    assert report["advice"]
    assert measure_marker(session.take("wave"), seen) == pytest.approx(90, rel=0.05) or np.isnan(
        measure_marker(session.take("wave"), seen)
    )


def test_a_second_calibration_keeps_the_floor(session: Session, result: dict[str, object]) -> None:
    before = session.require_rig()
    params = {"take": "wave", "calibration": {"board": FIELDS}}
    verb("calibrate")(session, params, session.new_run("calibrate"), NullReporter())
    after = session.require_rig()
    assert "former rig" in after.source
    for camera in after:
        assert camera.centre_mm == pytest.approx(before[camera.name].centre_mm, abs=5)


def test_the_rig_is_assessed_on_a_take(session: Session, result: dict[str, object]) -> None:
    params = {"take": "wave", "board": FIELDS}
    good = verb("check-rig")(session, params, session.new_run("check-rig"), NullReporter())
    assert good["level"] != "error"
    rig = session.require_rig()
    moved = rig.cameras[0].replace(t_mm=rig.cameras[0].pose[1] + (80, 0, 0))
    rig_path = session.layout.rig
    kept = rig_path.read_bytes()
    type(rig)(cameras=(moved, *rig.cameras[1:])).save(rig_path)
    try:
        bad = verb("check-rig")(session, params, session.new_run("check-rig"), NullReporter())
    finally:
        rig_path.write_bytes(kept)
    assert bad["level"] == "error"


def test_world_coordinates_are_set_and_the_former_rig_is_kept(session: Session, result: dict[str, object]) -> None:
    before = session.require_rig()
    assert session_board(session).columns == 5  # calibrated with, so it need not be entered again
    params = {"rotation_axis": "z", "quarter_turns": 1, "distance_mm": 2000.0, "between": ["cam1", "cam2"]}
    done = verb("set-world")(session, params, session.new_run("set-world"), NullReporter())
    after = session.require_rig()
    assert np.linalg.norm(after["cam1"].centre_mm - after["cam2"].centre_mm) == pytest.approx(2000)
    assert (session.root / str(done["backup"])).exists()
    scale = 2000 / np.linalg.norm(before["cam1"].centre_mm - before["cam2"].centre_mm)
    x, y, z = before["cam1"].centre_mm
    assert after["cam1"].centre_mm == pytest.approx(scale * np.array([-y, x, z]))
    with pytest.raises(CoreError, match="No change was given"):
        verb("set-world")(session, {}, session.new_run("set-world"), NullReporter())
    on_one_line = {"floor_points_mm": [0, 0, 0, 1000, 0, 0, 2000, 50, 0]}
    with pytest.raises(CoreError, match="collinear"):
        verb("set-world")(session, on_one_line, session.new_run("set-world"), NullReporter())
    assert session.require_rig().digest == after.digest


def test_the_sheet_verb_writes_the_requested_board(session: Session, tmp_path: Path) -> None:
    sheet = verb("board-sheet")(
        session, {"path": str(tmp_path / "b.pdf"), "board": FIELDS}, session.new_run("board-sheet"), NullReporter()
    )
    assert [Path(f).name for f in sheet["files"]] == ["b.pdf"]
    assert (tmp_path / "b.pdf").read_bytes().startswith(b"%PDF")


def test_detection_can_be_cancelled_and_reports_progress(session: Session) -> None:
    take = session.take("wave")
    reporter = RecordingReporter()
    seen = detect_board(take, BOARD, reporter, rate_hz=5)
    assert np.diff(np.nanmedian(seen.time_s, 1)).min() > 0.19
    assert reporter.progresses[-1][:2] == (float((seen.image_index >= 0).sum()),) * 2
    with pytest.raises(CancelledError):
        detect_board(take, BOARD, RecordingReporter(cancel_after=0))


def test_long_takes_are_searched_in_bursts() -> None:
    frames = chosen_frames(np.arange(30_000) / 30, 10.0, 600)
    assert len(frames) <= 600
    steps = np.diff(frames)
    assert (steps == 3).mean() > 0.85  # within bursts, ten frames a second
    assert frames[-1] > 29_000


def test_a_wrong_board_is_reported(session: Session) -> None:
    params = {"take": "wave", "calibration": {"board": FIELDS | {"dictionary": "DICT_6X6_50"}}}
    with pytest.raises(CoreError, match="dictionary is DICT_4X4_50, not DICT_6X6_50"):
        verb("calibrate")(session, params, session.new_run("calibrate"), NullReporter())


def test_recorded_times_are_read_and_wrong_ones_refused(tmp_path: Path) -> None:
    table = tmp_path / "timestamps.csv"
    rows = [(s, c, s, 100.0 + s / 10 + 0.01 * c) for s in range(5) for c in (0, 1)]
    table.write_text("sync_index,cam_id,frame_index,frame_time\n" + "\n".join(",".join(map(str, r)) for r in rows))
    times = read_times_table(table, {"left": ("cam_0", 5, 5), "cam_1": ("cam_1", 5, 5)})
    assert times["left"] == pytest.approx(np.arange(5) / 10)
    assert times["cam_1"] == pytest.approx(np.arange(5) / 10 + 0.01)
    with pytest.raises(CoreError, match="no rows"):
        read_times_table(table, {"c": ("other", 5, 5)})
    with pytest.raises(CoreError, match="has 5 times"):
        read_times_table(table, {"cam_0": ("cam_0", 9, 9)})
    for text, message in (("a,b\n1,2\n", "not a table"), ("cam_id,frame_index,frame_time\n0,x,1\n", "damaged")):
        table.write_text(text)
        with pytest.raises(CoreError, match=message):
            read_times_table(table, {"cam_0": ("cam_0", 1, 1)})
    table.write_text("cam_id,frame_index,frame_time\n0,0,2\n0,1,1\n")
    with pytest.raises(CoreError, match="do not increase"):
        read_times_table(table, {"cam_0": ("cam_0", 2, 2)})


@pytest.mark.parametrize(
    ("name", "most_px", "most_rms_px"), [("charuco_calibration", 0.80, 1.11), ("4_cam_recording", 1.05, 1.11)]
)
def test_real_recordings_are_predicted_from_other_cameras(
    name: str, most_px: float, most_rms_px: float, shared_data: Path, tmp_path: Path
) -> None:
    folder = shared_data / "calibration" / name / "calibration" / "extrinsic"
    if not folder.is_dir():
        pytest.skip("the calibration recordings are not here")
    session = Session.create(tmp_path / "session")
    take = ingest_videos(session, [folder], kind="board", reporter=NullReporter())
    board = Board(columns=4, rows=5, square_mm=54, marker_mm=40.5, dictionary="DICT_4X4_1000", inverted=True)
    seen = detect_board(take, board, NullReporter())
    found = calibrate_board(seen, CalibrateConfig(board=board), NullReporter())
    assert len(found.posed) == 4
    assert len(found.prediction.of()) > 0.9 * len(seen)
    assert np.median(found.prediction.of()) <= most_px
    residual = found.solution.residual_px
    residual = residual[np.isfinite(residual[..., 0])]
    assert np.sqrt((residual**2).sum(-1).mean()) <= most_rms_px
