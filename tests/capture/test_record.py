"""Live cameras: real streams from real servers, the simulated room, crashes, and what a board watch says."""

from __future__ import annotations

import http.server
import re
import shutil
import socket
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
from core.capture.recorder import Recorder, finish
from core.capture.source import open_source
from core.capture.sources.demo import DemoCameras, demo_rig
from core.config import to_mapping
from core.errors import CancelledError, CoreError
from core.files import read_json, write_yaml
from core.pipelines.calibrate import run_calibrate
from core.pipelines.params import CalibrateParams, RecordParams
from core.pipelines.record import run_record
from core.progress import NullReporter, RecordingReporter
from core.session import Session
from core.session.video import VideoReader

BOARD = Board(columns=5, rows=4, square_mm=120, marker_mm=90, dictionary="DICT_4X4_50", back="none")
DEMO = tuple(f"cam{i:02d}=demo:cam{i:02d}" for i in range(1, 5))


def jpeg(number: int) -> bytes:
    """An image that says its number: how bright its left half is."""
    image = np.full((120, 160, 3), 40, np.uint8)
    image[:, :80] = 60 + number % 150
    ok, data = cv2.imencode(".jpg", image)
    assert ok
    return data.tobytes()


class MotionJpeg(http.server.BaseHTTPRequestHandler):
    """What network cameras do: images without end, in parts of one answer."""

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
            pass  # the other side has seen enough

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), MotionJpeg) as running:
        running.daemon_threads = True
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


class Stopping(NullReporter):
    """Asks to stop after some seconds."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def cancelled(self) -> bool:
        return time.monotonic() > self._until


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session.create(tmp_path / "session")


def test_a_network_camera_is_recorded_packet_by_packet(session: Session, server: str) -> None:
    params = RecordParams(cameras=(f"left={server}/stream", f"{server}/stream"), name="wave", board=BOARD)
    run = session.new_run("record")
    result = run_record(session, params, run, Stopping(4.0))
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
    state = read_json(run.live_state)
    assert state["cameras"]["left"]["frames"] > 25 and run.live_image("left").is_file()
    assert not (run.recording).exists()


@pytest.fixture
def rtsp() -> Iterator[str]:
    """Address of a real RTSP server, where the system has the parts for one."""
    python = shutil.which("python3", path="/usr/bin")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    if python is None:
        pytest.skip("no Python of the system")
    script = Path(__file__).with_name("rtsp_server.py")
    with subprocess.Popen(
        [python, str(script), str(port)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        if server.stdout.readline().strip() != "ready":
            pytest.skip("GStreamer's RTSP server (gir1.2-gst-rtsp-server-1.0, python3-gi) is not installed")
        yield f"rtsp://127.0.0.1:{port}"
        server.kill()


def test_rtsp_cameras_are_recorded_in_their_own_codecs(session: Session, rtsp: str) -> None:
    params = RecordParams(cameras=(f"one={rtsp}/h264", f"two={rtsp}/mjpeg"), board=BOARD)
    result = run_record(session, params, session.new_run("record"), Stopping(8.0))
    assert all(n > 50 for n in result["images"].values())
    take = session.take(result["take"])
    for name, codec in (("one", "h264"), ("two", "mjpeg")):
        with av.open(str(take.video_path(name))) as container:
            assert container.streams.video[0].codec_context.name == codec
            assert sum(1 for _ in container.decode(video=0)) == result["images"][name]
    steps = np.diff(take.timeline().frame_time_s, axis=0)
    assert np.nanmedian(steps) == pytest.approx(0.04, abs=0.005)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://127.0.0.1:{port}/stream", "Nothing answers there"),
        ("nowhere", "There is no camera at 'nowhere'"),
        ("v4l2:/dev/video99", "cannot be opened|has no v4l2"),
        ("demo:cam77", "There is no camera at"),
    ],
)
def test_what_is_no_camera_is_told_with_a_remedy(address: str, words: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(CoreError) as refused:
        open_source(address.format(port=port))
    assert re.search(words, f"{refused.value.message} {refused.value.hint}") and refused.value.hint


def test_an_address_without_images(server: str, session: Session) -> None:
    with pytest.raises(CoreError, match="cannot be opened"):
        open_source(f"{server}/other")
    with pytest.raises(CoreError, match="No camera sent an image"):
        run_record(
            session, RecordParams(cameras=(f"{server}/other",), board=BOARD), session.new_run("record"), NullReporter()
        )
    assert not session.take_names()
    for cameras, problem in (((), "no camera to record"), (("a=x", "a=y"), "Two cameras are called a")):
        with pytest.raises(CoreError, match=problem):
            run_record(session, RecordParams(cameras=cameras), session.new_run("record"), NullReporter())


def test_one_camera_that_fails_does_not_cost_the_others(session: Session, server: str) -> None:
    params = RecordParams(cameras=(f"good={server}/stream", "bad=nowhere"), duration_s=2.5, board=BOARD)
    reporter = RecordingReporter()
    result = run_record(session, params, session.new_run("record"), reporter)
    assert list(result["images"]) == ["good"]
    assert any(level == "warning" and text.startswith("bad: There is no camera") for text, level in reporter.notes)


def test_watching_keeps_nothing(session: Session, server: str) -> None:
    params = RecordParams(cameras=(f"{server}/stream",), preview_only=True, board=BOARD)
    run = session.new_run("record")
    with pytest.raises(CancelledError):
        run_record(session, params, run, Stopping(2.0))
    assert not session.take_names() and not (run.recording).exists()


def test_a_video_plays_at_its_own_speed(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=20, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for number in range(24):
            frame = av.VideoFrame.from_ndarray(np.full((120, 160, 3), 5 * number, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    source = open_source(str(path))
    begin = time.monotonic()
    times = [shot.time_ns for shot in source.shots()]
    source.close()
    assert len(times) == 24 and time.monotonic() - begin >= 1.0
    assert np.median(np.diff(times)) == pytest.approx(5e7, rel=0.01)


def test_the_demo_room_is_recorded_and_calibrated_to_its_exact_truth(session: Session) -> None:
    run = session.new_run("record")
    result = run_record(session, RecordParams(cameras=DEMO, duration_s=25, board=BOARD), run, NullReporter())
    assert all(n > 150 for n in result["images"].values())
    state = read_json(run.live_state)
    assert any(len(camera["corners"]) > 4 for camera in state["cameras"].values())
    assert sum(camera["board"] > 5 for camera in state["cameras"].values()) >= 3
    config = CalibrateConfig(board=BOARD)
    run_calibrate(
        session, CalibrateParams(take=result["take"], calibration=config), session.new_run("calibrate"), NullReporter()
    )
    found, truth = session.require_rig(), demo_rig(BOARD)
    assert all(c.posed for c in found)
    mine, exact = (np.array([c.centre_mm for c in rig]) for rig in (found, truth))
    apart = [np.linalg.norm(p[:, None] - p[None], axis=-1) for p in (mine, exact)]
    assert np.abs(apart[0] - apart[1]).max() < 0.02 * apart[1].max()
    assert max(abs(c.time_offset_s) for c in found) < 0.005


def test_a_killed_recording_loses_a_frame_and_is_brought_in(session: Session, tmp_path: Path) -> None:
    params = to_mapping(RecordParams(cameras=DEMO[:2], board=BOARD))
    write_yaml(tmp_path / "record.yaml", params)
    command = [sys.executable, "-m", "core.cli", "record", str(session.root), "--config", str(tmp_path / "record.yaml")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            tables = list(session.layout.runs.glob("*/recording/*.times.csv"))
            if len(tables) == 2 and all(t.read_text().count("\n") >= 30 for t in tables):
                break
            time.sleep(0.1)
        process.kill()
    (run,) = session.layout.runs.iterdir()
    told = {t.name.split(".")[0]: t.read_text().count("\n") for t in (run / "recording").glob("*.times.csv")}
    result = run_record(
        session, RecordParams(cameras=DEMO[:2], board=BOARD), session.layout.run(run.name), NullReporter()
    )
    assert all(result["images"][name] >= count - 10 for name, count in told.items())  # a second at most


def test_what_a_recorder_left_behind(tmp_path: Path) -> None:
    (tmp_path / "a.times.csv").write_text("0,100\n1,", encoding="utf-8")
    (tmp_path / "a.mkv").write_bytes(b"no video")
    with pytest.raises(CoreError, match="Nothing was recorded"):
        finish(tmp_path)
    recorder = Recorder({"x": "nowhere"}, tmp_path / "sub", open_source)
    recorder.stop()
    assert recorder.all_ended and "no camera at" in recorder.watched["x"].problem


def test_a_watch_says_what_was_seen_and_what_is_missing() -> None:
    room = DemoCameras(BOARD)
    watch = BoardWatch(BOARD, {c.name: c.size_px for c in room.rig})
    assert "not at all" in watch.summary().advice
    for index in range(0, 200, 4):
        images = {c.name: np.repeat(room.image(c, index)[..., None], 3, 2) for c in room.rig}
        corners = watch.look(images)
        assert all(xy.shape[1] == 2 for xy in corners.values())
    told = watch.summary()
    assert all(told.coverage[c.name].images > 3 for c in room.rig)
    assert (told.shared == told.shared.T).all() and told.shared.max() > 5 and not np.diag(told.shared).any()
    assert told.advice and "not at all" not in told.advice
