"""Recording: real streams from real servers, the simulated cameras, crashes, and the advice of a board watch."""

from __future__ import annotations

import http.server
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from core.board.pattern import Board
from core.calibration.board.config import CalibrateConfig
from core.calibration.board.live import BoardWatch
from core.capture.recorder import Recorder
from core.capture.ring import ImageRingReader
from core.capture.source import Source, SourceOptions, open_source
from core.capture.sources.demo import FPS, DemoCameras, demo_rig
from core.capture.takes import save_recording
from core.clock import SimulatedClock
from core.config import to_mapping
from core.errors import CoreError
from core.files import write_json, write_yaml
from core.pipelines.params import CalibrateParams, RecordParams
from core.pipelines.record import run_record
from core.pipelines.rig.calibrate import run_calibrate
from core.process import ProcessIdentity
from core.progress import RecordingReporter
from core.session import Session
from core.session.incoming import IncomingOwner, find_recording, reserve
from core.session.ingest import ingest_recording, ingest_videos
from core.session.status import session_status
from core.session.times_table import read_image_times
from core.session.video import VideoReader
from core.synthetic.rendering.scene import room_people, room_rig
from core.types.frame import ArrayImage, Frame

BOARD = Board(columns=5, rows=4, square_mm=120, marker_mm=90, dictionary="DICT_4X4_50", back="none")
DEMO = tuple(f"cam{i:02d}=demo:cam{i:02d}" for i in range(1, 5))


def jpeg(number: int) -> bytes:
    """An image whose number is the brightness of its left half."""
    image = np.full((120, 160, 3), 40, np.uint8)
    image[:, :80] = 60 + number % 150
    ok, data = cv2.imencode(".jpg", image)
    assert ok
    return data.tobytes()


class MotionJpeg(http.server.BaseHTTPRequestHandler):
    """A network camera: endless images, as the parts of one response."""

    def do_GET(self) -> None:
        if self.path != "/stream":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        try:
            for number in range(10_000):
                data = jpeg(number)
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                self.wfile.write(head.encode() + data + b"\r\n")
                time.sleep(0.04)
        except OSError:
            pass  # the client has closed the connection

    def log_message(self, format: str, *arguments: object) -> None:
        """Keep the test output clean."""


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), MotionJpeg) as running:
        running.daemon_threads = True
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


class Stopping(RecordingReporter):
    """Stops a recording once each camera in `wanted` (all if empty) has sent some images."""

    def __init__(self, frames: int, wanted: tuple[str, ...] = ()) -> None:
        super().__init__()
        self._frames, self._wanted, self._deadline = frames, wanted, time.monotonic() + 40

    def cancelled(self) -> bool:
        if time.monotonic() > self._deadline:
            return True
        cameras = self.statuses[-1]["cameras"] if self.statuses else {}
        return bool(cameras) and all(cameras[n]["frames"] >= self._frames for n in self._wanted or cameras)


def left_in(session: Session) -> list[Path]:
    """Return the folders of unfinished takes."""
    return list(session.layout.incoming.glob("*"))


def write_test_video(path: Path) -> None:
    """24 images at 20 fps."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=20, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for number in range(24):
            frame = av.VideoFrame.from_ndarray(np.full((120, 160, 3), 5 * number, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session.create(tmp_path / "session")


@pytest.mark.slow
def test_a_network_camera_is_recorded_packet_by_packet(session: Session, server: str) -> None:
    params = RecordParams(cameras=(f"left={server}/stream", f"{server}/stream"), name="wave", board=BOARD)
    run, reporter = session.new_run("record"), Stopping(40)
    result = run_record(session, params, run, reporter)
    assert result["take"] == "wave" and set(result["images"]) == {"left", "cam02"}
    take = session.take("wave")
    assert take.manifest.kind == "board" and all(n > 25 for n in result["images"].values())
    with av.open(str(take.video_path("left"))) as container:
        assert container.streams.video[0].codec_context.name == "mjpeg"  # as the camera sent it
    with VideoReader(take.video_path("left")) as video:
        bright = [int(video.read(i)[60, 40].mean()) for i in range(10)]
    assert np.diff(bright) == pytest.approx(np.ones(9), abs=2)  # one after the other
    times = take.timeline()
    known = times.frame_time_s[:, 0][np.isfinite(times.frame_time_s[:, 0])]
    assert np.median(np.diff(known)) == pytest.approx(0.04, abs=0.02)
    state = reporter.statuses[-1]["cameras"]["left"]
    assert state["frames"] > 25 and state["size_px"] == [160, 120] and state["ring"]
    with pytest.raises(CoreError):  # live images end with the recording
        ImageRingReader(state["ring"])
    assert not left_in(session) and sorted(p.name for p in take.layout.root.iterdir()) == [
        "cam_cam02.mkv",
        "cam_cam02.times.csv",
        "cam_left.mkv",
        "cam_left.times.csv",
        "take.yaml",
        "timestamps.csv",
    ]


@pytest.mark.slow
def test_rtsp_cameras_are_recorded_in_their_own_codecs(session: Session, rtsp: str) -> None:
    params = RecordParams(cameras=(f"one={rtsp}/h264", f"two={rtsp}/mjpeg"), board=BOARD)
    reporter = Stopping(80)
    result = run_record(session, params, session.new_run("record"), reporter)
    assert abs(reporter.statuses[-1]["cameras"]["one"]["utc_error_ms"]) < 5000  # by its RTCP reports
    assert all(n > 50 for n in result["images"].values())
    take = session.take(result["take"])
    for name, codec in (("one", "h264"), ("two", "mjpeg")):
        with av.open(str(take.video_path(name))) as container:
            assert container.streams.video[0].codec_context.name == codec
            assert sum(1 for _ in container.decode(video=0)) == result["images"][name]
    steps = np.diff(take.timeline().frame_time_s, axis=0)
    assert np.nanmedian(steps) == pytest.approx(0.04, abs=0.005)


def test_a_recording_without_images_is_refused_and_leaves_nothing(server: str, session: Session) -> None:
    params = RecordParams(cameras=(f"a={server}/other", f"b={server}/another"), board=BOARD)
    with pytest.raises(CoreError, match="No camera sent an image") as refused:
        run_record(session, params, session.new_run("record"), RecordingReporter())
    assert refused.value.hint.startswith("a, b: cannot be opened: ") and server not in refused.value.hint
    assert not session.take_names() and not left_in(session)
    for cameras, problem in (((), "no camera to record"), (("a=x", "a=y"), "Two cameras are named a")):
        with pytest.raises(CoreError, match=problem):
            run_record(session, RecordParams(cameras=cameras), session.new_run("record"), RecordingReporter())


@pytest.mark.slow
def test_one_camera_that_fails_does_not_cost_the_others(session: Session, server: str) -> None:
    params = RecordParams(cameras=(f"good={server}/stream", "bad=nowhere"), board=BOARD)
    reporter = Stopping(30, ("good",))
    result = run_record(session, params, session.new_run("record"), reporter)
    assert list(result["images"]) == ["good"]
    assert any(level == "warning" and text.startswith("bad: There is no camera") for text, level in reporter.notes)


@pytest.mark.slow
def test_watching_stores_nothing(session: Session, server: str) -> None:
    params = RecordParams(cameras=(f"{server}/stream",), preview_only=True, board=BOARD)
    result = run_record(session, params, session.new_run("record"), Stopping(10))
    assert result["take"] == "" and result["seconds"] > 0  # the end of watching is no cancellation
    assert not session.take_names() and not left_in(session)


@pytest.mark.slow
def test_demo_cameras_are_recorded_and_calibrated_to_their_exact_truth(session: Session) -> None:
    reporter, clock = RecordingReporter(), SimulatedClock()
    params = RecordParams(cameras=DEMO, duration_s=25, board=BOARD)
    result = run_record(session, params, session.new_run("record"), reporter, clock)
    assert set(result["images"].values()) <= {250, 251} and result["seconds"] == 25
    cameras = reporter.statuses[-1]["cameras"]
    assert sum(camera["board"] > 5 for camera in cameras.values()) >= 3
    assert not any(camera["dropped"] for camera in cameras.values())
    config = CalibrateConfig(board=BOARD)
    run_calibrate(
        session,
        CalibrateParams(take=result["take"], calibration=config),
        session.new_run("calibrate"),
        RecordingReporter(),
    )
    estimate, truth = session.require_rig(), demo_rig(BOARD)
    assert all(c.posed for c in estimate)
    centres = [np.array([c.centre_mm for c in rig]) for rig in (estimate, truth)]
    distances = [np.linalg.norm(p[:, None] - p[None], axis=-1) for p in centres]
    assert np.abs(distances[0] - distances[1]).max() < 0.02 * distances[1].max()
    assert max(abs(c.time_offset_s) for c in estimate) < 0.005


@pytest.mark.slow
def test_a_killed_recording_loses_a_second_at_most_and_is_recovered(session: Session, tmp_path: Path) -> None:
    params = to_mapping(RecordParams(cameras=DEMO[:2], name="wave", board=BOARD))
    write_yaml(tmp_path / "record.yaml", params)
    command = [sys.executable, "-m", "core.cli", "record", str(session.root), "--config", str(tmp_path / "record.yaml")]
    folder = session.layout.incoming_take("wave")
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            counts = [len(read_image_times(folder.frame_times(name))) for name in ("cam01", "cam02")]
            if min(counts) >= 30:
                break
            time.sleep(0.1)
        process.kill()
    counts = {name: len(read_image_times(folder.frame_times(name))) for name in ("cam01", "cam02")}
    size = sum(path.stat().st_size for path in folder.root.iterdir())
    assert min(counts.values()) >= 30 and not session.take_names()
    video = session.root / "other.mp4"
    write_test_video(video)
    take = ingest_videos(session, [video], kind="board", reporter=RecordingReporter())  # clears imports, not recordings
    with pytest.raises(CoreError, match="The recording 'wave' was interrupted"):
        ingest_videos(session, [video], name="wave", kind="board", reporter=RecordingReporter())
    (run,) = session.layout.runs.iterdir()
    assert session_status(session)["take"].reason == f"Recording 'wave' was interrupted: resume run {run.name}."
    again = [sys.executable, "-m", "core.cli", "resume", str(session.root), run.name]
    resumed = subprocess.run(again, capture_output=True, text=True, timeout=120)
    assert resumed.returncode == 0, resumed.stderr
    assert session.take_names() == sorted([take.name, "wave"]) and not left_in(session)
    cameras = session.take("wave").manifest.cameras
    assert all(camera.n_frames >= counts[camera.name] - 10 for camera in cameras)
    kept = sum(path.stat().st_size for path in session.take("wave").layout.root.glob("*.mkv"))
    assert kept <= size  # written once, renamed into place
    # A kill may fall between the renaming of the take and the end of the job.
    once_more = subprocess.run(again, capture_output=True, text=True, timeout=120)
    assert once_more.returncode == 0 and "had already ended" in once_more.stderr, once_more.stderr


def test_a_recording_of_which_nothing_is_left_is_refused(session: Session) -> None:
    folder = reserve(session, "empty", run="20260101-000000-record", cameras=("a", "b"))
    folder.frame_times("a").write_text("0,0,100,-1,-1\n1,", encoding="utf-8")
    folder.video("a").write_bytes(b"no video")
    found = find_recording(session, "20260101-000000-record")
    assert found is not None and found[1].cameras == ("a", "b") and found[1].process.alive
    write_json(
        folder.owner, {"process": to_mapping(ProcessIdentity.of(os.getppid())), "run": found[1].run, "cameras": []}
    )
    with pytest.raises(CoreError, match="still running"):
        find_recording(session, found[1].run)
    times = read_image_times(folder.frame_times("a"))
    assert times.time_ns.tolist() == [100] and len(read_image_times(folder.frame_times("b"))) == 0
    with pytest.raises(CoreError, match="Nothing was recorded"):
        ingest_recording(session, folder, found[1], RecordingReporter())


class Bursts:
    """A camera whose images arrive in pairs within a tenth of a millisecond."""

    size_px, fps, template = (64, 48), 0.0, None

    def frames(self) -> Iterator[Frame]:
        for index in range(60):
            data = ArrayImage(np.full((48, 64, 3), 4 * index, np.uint8))
            time_ns = 10**12 + (index // 2) * 10**8 + (index % 2) * 10**5
            yield Frame(camera="burst", index=index, time_ns=time_ns, data=data)

    def close(self) -> None:
        """Nothing to release."""


def test_images_that_arrive_in_bursts_keep_their_own_times(session: Session) -> None:
    folder = reserve(session, "burst", run="r", cameras=("burst",))
    record(Recorder({"burst": "x"}, lambda camera, address: Bursts(), SimulatedClock(), folder=folder))
    times = read_image_times(folder.frame_times("burst"))
    assert times.index.tolist() == list(range(60)) and times.time_ns[1] - times.time_ns[0] == 10**5
    with VideoReader(folder.video("burst")) as video:
        assert video.n_frames == 60
        shown = [video.read(i)[20:28, 20:28].mean() / 4 for i in range(60)]
    assert shown == pytest.approx(range(60), abs=1)
    take = ingest_recording(session, folder, owner_of("burst"), RecordingReporter())
    assert take.manifest.cameras[0].n_frames == take.manifest.n_frames == 60 and take.name == "burst"
    assert take.manifest.fps == pytest.approx(20, rel=0.05)
    np.testing.assert_array_equal(take.timeline().frame_index[:, 0], np.arange(60))


def owner_of(*cameras: str) -> IncomingOwner:
    return IncomingOwner(process=ProcessIdentity.of(), run="r", cameras=cameras)


def record(recorder: Recorder) -> None:
    """Wait until all cameras have ended, and complete their files."""
    while not recorder.ended:
        time.sleep(0.01)
    recorder.close()


def test_a_recording_that_died_before_its_first_images_were_on_the_disk_frees_its_name(session: Session) -> None:
    folder = reserve(session, "burst", run="r", cameras=("burst",))
    record(Recorder({"burst": "x"}, lambda camera, address: Bursts(), SimulatedClock(), folder=folder))
    with folder.video("burst").open("r+b") as file:
        file.truncate(400)  # no more than the header
    assert len(read_image_times(folder.frame_times("burst"))) == 60
    with pytest.raises(CoreError, match="Nothing was recorded"):
        save_recording(session, folder, owner_of("burst"), RecordingReporter())
    assert not left_in(session)


def test_images_keep_their_times_where_rows_of_the_table_are_missing(session: Session) -> None:
    folder = reserve(session, "burst", run="r", cameras=("burst",))
    record(Recorder({"burst": "x"}, lambda camera, address: Bursts(), SimulatedClock(), folder=folder))
    table = folder.frame_times("burst")
    rows = table.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [*rows[:11], "damaged\n", *rows[14:51]]  # of images 0 to 9 and 13 to 49
    table.write_text("".join(kept), encoding="utf-8")
    reporter = RecordingReporter()
    take = ingest_recording(session, folder, owner_of("burst"), reporter)
    timeline = take.timeline()
    used = timeline.frame_index[:, 0]
    assert used[used >= 0].tolist() == [*range(10), *range(13, 50)] and take.manifest.cameras[0].n_frames == 60
    expected = (used // 2) * 0.1 + (used % 2) * 1e-4
    np.testing.assert_allclose(timeline.frame_time_s[used >= 0, 0], expected[used >= 0], atol=1e-8)
    assert any("13 images are not used" in text for text, _ in reporter.notes)


def test_a_recorder_keeps_the_reason_why_a_camera_does_not_run() -> None:
    def opened(camera: str, address: str) -> Source:
        return open_source(address, SourceOptions(camera=camera, start_ns=0))

    recorder = Recorder({"x": "nowhere"}, opened)
    while not recorder.ended:
        time.sleep(0.01)
    recorder.close()
    assert recorder.ended and "no camera at" in recorder.cameras["x"].problem and recorder.frame_set is None


@pytest.mark.slow
def test_a_watch_summarises_what_was_seen_and_advises() -> None:
    cameras = DemoCameras(BOARD)
    watch = BoardWatch(BOARD, {c.name: c.size_px for c in cameras.rig})
    assert "not yet" in watch.summary().advice
    for index in range(0, 200, 4):
        images = {c.name: cameras.image(c, index / FPS) for c in cameras.rig}
        corners = watch.detect(images)
        assert all(xy.shape[1] == 2 for xy in corners.values())
    summary = watch.summary()
    assert all(summary.coverage[c.name].images > 3 for c in cameras.rig)
    assert (summary.shared == summary.shared.T).all() and summary.shared.max() > 5
    assert not np.diag(summary.shared).any()
    assert summary.advice and "not yet" not in summary.advice


@pytest.mark.slow
def test_a_take_of_the_demo_room_has_its_exact_rig_and_people_beside_it(session: Session) -> None:
    cameras = ("a=demo:people/cam01", "b=demo:people/cam03?offset_ms=100")
    params = RecordParams(cameras=cameras, name="walk", kind="motion", duration_s=0.5)
    result = run_record(session, params, session.new_run("record"), RecordingReporter(), SimulatedClock())
    take, rig, room = session.take(result["take"]), session.require_rig(), room_rig()
    assert rig.names == ("a", "b")
    np.testing.assert_allclose([c.centre_mm for c in rig], [room[n].centre_mm for n in ("cam01", "cam03")])
    truth, people = take.truth, room_people().people
    assert truth is not None and len(truth.time_s) == take.manifest.n_frames >= 5
    np.testing.assert_allclose(truth.xyz_mm, people.sequence(np.arange(len(truth.time_s)) / FPS).xyz_mm, atol=0.01)
