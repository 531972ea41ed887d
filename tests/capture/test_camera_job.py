"""The camera job: takes in a running preview, markers, pre-roll, lost cameras, slow storage, full disks."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from core.board.pattern import Board
from core.capture.camera import Opener
from core.capture.recorder import Recorder
from core.capture.source import Source
from core.capture.storage.encoder import packet_maker
from core.capture.storage.store import CameraStore
from core.clock import SimulatedClock
from core.errors import CoreError
from core.jobs.commands import AddMarker, Command, SetControl, StartTake, StopTake, send_command
from core.pipelines.params import RecordParams
from core.pipelines.record import run_record
from core.process import ProcessIdentity
from core.progress import RecordingReporter
from core.session import RunLayout, Session
from core.session.incoming import IncomingOwner, reserve
from core.session.ingest import ingest_recording
from core.session.times_table import read_image_times
from core.session.video import VideoReader
from core.types.frame import ArrayImage, Frame

BOARD = Board(columns=5, rows=4, square_mm=120, marker_mm=90, dictionary="DICT_4X4_50", back="none")
DEMO = tuple(f"cam{i:02d}=demo:cam{i:02d}" for i in (1, 2))


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session.create(tmp_path / "session")


class Director(RecordingReporter):
    """Sends commands at given seconds of watching, and ends the job at the last one."""

    def __init__(self, run: RunLayout, clock: SimulatedClock, script: Mapping[float, Command | None]) -> None:
        super().__init__()
        self._run, self._clock, self._script = run, clock, dict(script)
        self._begin_ns = clock.now_ns()

    def cancelled(self) -> bool:
        seconds = (self._clock.now_ns() - self._begin_ns) / 1e9
        for at in [at for at in self._script if at <= seconds]:
            command = self._script.pop(at)
            if command is None:
                return True
            send_command(self._run.root, command)
        return False


def test_takes_start_and_stop_while_the_cameras_run_on(session: Session) -> None:
    run, clock = session.new_run("record"), SimulatedClock()
    script: dict[float, Command | None] = {
        3.0: StartTake(name="walk", kind="motion", note="Anna", countdown_s=1),
        4.5: SetControl(camera="cam09", control="gain", value=1.0),
        5.0: AddMarker(text="jump"),
        6.0: StopTake(),
        6.1: StartTake(name="walk", kind="motion", duration_s=1),  # while the first one is being saved
        8.0: StartTake(name="unwanted"),
        8.5: StopTake(discard=True),
        9.0: AddMarker(),
        9.5: None,
    }
    reporter = Director(run, clock, script)
    params = RecordParams(cameras=DEMO, preview_only=True, kind="motion", board=BOARD)
    result = run_record(session, params, run, reporter, clock)
    assert result["takes"] == ["walk", "walk_02"] == session.take_names() and result["take"] == "walk_02"
    assert not list(session.layout.incoming.glob("*"))
    walk = session.take("walk")
    # It begins 2 s before 4 s, and ends at 6 s.
    assert walk.manifest.n_frames == pytest.approx(41, abs=2) and walk.manifest.note == "Anna"
    (marker,) = walk.manifest.markers
    assert marker.text == "jump" and marker.time_s == pytest.approx(3, abs=0.2)
    assert walk.timeline().time_s[marker.frame] == pytest.approx(marker.time_s)
    states = [status["state"] for status in reporter.statuses]
    assert list(dict.fromkeys(states)) == ["watching", "countdown", "recording"] and states[-1] == "watching"
    warnings = [text for text, level in reporter.notes if level == "warning"]
    assert [w for w in warnings if "no camera 'cam09'" in w] and [w for w in warnings if "no take to mark" in w]
    camera = reporter.statuses[-1]["cameras"]["cam01"]
    assert camera["fps"] == pytest.approx(10, abs=0.5) and camera["lost"] == 0 and abs(camera["skew_ms"]) < 1
    assert camera["codec"] and camera["bytes_per_s"] > 0 and reporter.statuses[-1]["disk_minutes"] > 0


class Scripted:
    """A camera whose images show their number, and which is lost and found by a plan.

    Args:
        camera: Its name.
        clock: Clock that paces it.
        first: Number of the first image; an image is due every 0.1 s.
        stop: Number of the image instead of which the connection is lost.
        size_px: Size of the images.
    """

    fps, template, damaged = 10.0, None, 0

    def __init__(self, camera: str, clock: SimulatedClock, first: int, stop: int, size_px: tuple[int, int]) -> None:
        self._camera, self._clock, self._first, self._stop, self.size_px = camera, clock, first, stop, size_px

    def frames(self) -> Iterator[Frame]:
        for number in range(self._first, self._stop):
            due_ns = 10**9 + number * 10**8
            self._clock.sleep((due_ns - self._clock.now_ns()) / 1e9)
            data = ArrayImage(np.full((*self.size_px[::-1], 3), number, np.uint8))
            own_ns = round(due_ns * (1 + 40e-6))
            yield Frame(
                camera=self._camera, index=number - self._first, time_ns=due_ns, data=data, source_time_ns=own_ns
            )
        if self._stop < 100:
            raise CoreError("Its plug was pulled.", "Plug it in.")

    def close(self) -> None:
        """Nothing to release."""


def record_plan(session: Session, plan: Callable[[int], tuple[int, tuple[int, int]] | None]) -> tuple[Any, list[str]]:
    """Record 10 s of a steady camera and one that follows a plan; return the take and the warnings."""
    clock, folder = SimulatedClock(), reserve(session, "take", run="r", cameras=("steady", "loose"))
    notes: list[str] = []

    def opened(camera: str, address: str) -> Source:
        first = (clock.now_ns() - 10**9 + 10**8 - 1) // 10**8
        if camera == "steady":
            return Scripted(camera, clock, first, 100, (64, 48))
        if (found := plan(first)) is None:
            raise CoreError("Nobody answers.", "Plug it in.")
        return Scripted(camera, clock, first, *found)

    opener: Opener = opened
    with clock.member():
        recorder = Recorder({"steady": "x", "loose": "y"}, opener, clock, folder=folder)
        while not recorder.ended:
            clock.sleep(0.1)
            notes += recorder.notes()
        drift_ppm = recorder.cameras["steady"].clock.drift_ppm
        recorder.close()
        notes += recorder.notes()  # the threads that store speak last
    assert drift_ppm == pytest.approx(40, abs=1)
    owner = IncomingOwner(process=ProcessIdentity.of(), run="r", cameras=("steady", "loose"), kind="motion")
    return ingest_recording(session, folder, owner, RecordingReporter()), notes


def test_a_lost_camera_comes_back_with_a_gap_and_shifts_nothing(session: Session) -> None:
    small = (64, 48)
    take, notes = record_plan(session, lambda n: (30, small) if n < 30 else None if n < 55 else (100, small))
    assert [n for n in notes if n.startswith("loose was lost: Its plug")] and [n for n in notes if "is back after" in n]
    timeline = take.timeline()
    numbers = {}
    for v, camera in enumerate(timeline.cameras):
        index = timeline.frame_index[:, v]
        with VideoReader(take.video_path(camera)) as video:
            shown = np.array([video.read(int(i))[24, 32].mean() if i >= 0 else -1 for i in index])
        numbers[camera] = np.round(shown).astype(int)
    np.testing.assert_allclose(numbers["steady"], np.arange(100), atol=2)
    missing = numbers["loose"] < 0
    assert 25 <= missing.sum() <= 60 and missing[30:55].all() and not missing[:30].any() and not missing[70:].any()
    np.testing.assert_allclose(numbers["loose"][~missing], numbers["steady"][~missing], atol=2)
    own_ns = read_image_times(take.layout.frame_times("steady")).source_time_ns
    assert np.diff(own_ns).mean() == pytest.approx(1e8 * (1 + 40e-6), rel=1e-7)


def test_a_camera_that_comes_back_with_another_size_is_refused(session: Session) -> None:
    take, notes = record_plan(session, lambda n: (30, (64, 48)) if n < 30 else (100, (128, 96)))
    assert [n for n in notes if "came back with 128x96 px" in n and "the take has 64x48 px" in n]
    assert take.camera("loose").n_frames == 30 and take.camera("steady").n_frames == 100


def test_raw_images_are_encoded_without_visible_loss() -> None:
    coarse = np.random.default_rng(0).integers(0, 255, (60, 80), np.uint8)
    texture = cv2.resize(coarse, (320, 240), interpolation=cv2.INTER_CUBIC)
    image = np.asarray(np.repeat(texture[..., None], 3, 2), np.uint8)
    maker, decoder = packet_maker(None, (320, 240)), av.CodecContext.create("mjpeg", "r")
    frames = (Frame(camera="a", index=i, time_ns=1 + i * 10**7, data=ArrayImage(image)) for i in range(20))
    packets = [packet for frame in frames for packet in maker.packets(frame)]
    if maker.codec == "mjpeg":
        assert len(packets) == 20 and all(packet.key for packet in packets)
        shown: Any = decoder.decode(packets[-1].data)[0]
        assert np.abs(shown.to_ndarray(format="rgb24").astype(float) - image).mean() < 4
    maker.close()


def test_what_cannot_be_stored_in_time_is_counted_and_shifts_nothing(session: Session) -> None:
    folder, size_px = reserve(session, "take", run="r", cameras=("a",)), (640, 480)
    store = CameraStore("a", 0.0, False, lambda text: None)
    store.opened(packet_maker(None, size_px), 1 << 30)  # as many images as fit into memory, of a size that do not
    store.begin(folder, 0)
    levels = [np.full((*size_px[::-1], 3), level, np.uint8) for level in range(200)]
    taken = []
    for number, level in enumerate(levels):  # faster than any encoder
        frame = Frame(camera="a", index=number, time_ns=10**9 + number * 10**7, data=ArrayImage(level))
        taken += [number] if store.add(frame) else []
    assert store.end().wait(60)
    store.close()
    times = read_image_times(folder.frame_times("a"))
    assert store.state.lost == 200 - len(taken) > 0 and store.state.recorded == len(taken) == len(times)
    assert times.time_ns.tolist() == [10**9 + number * 10**7 for number in taken]
    with VideoReader(folder.video("a")) as video:
        np.testing.assert_allclose([video.read(i)[200, 300, 1] for i in range(video.n_frames)], taken, atol=2)


FILLED = """
import resource, sys
from pathlib import Path
from core.clock import SimulatedClock
from core.pipelines.params import RecordParams
from core.pipelines.record import run_record
from core.progress import RecordingReporter
from core.session import Session

session, reporter = Session.open(Path(sys.argv[1])), RecordingReporter()
run = session.new_run("record")
resource.setrlimit(resource.RLIMIT_FSIZE, (1_200_000, 1_200_000))
params = RecordParams(cameras=("a=demo:cam01", "b=demo:cam02"), kind="motion", duration_s=60, name="full")
print(run_record(session, params, run, reporter, SimulatedClock())["seconds"])
print(*(text for text, level in reporter.notes if level == "warning"), sep="\\n")
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of files")
def test_a_take_ends_cleanly_where_no_more_can_be_written(session: Session) -> None:
    done = subprocess.run([sys.executable, "-c", FILLED, str(session.root)], capture_output=True, text=True)
    seconds, *notes = done.stdout.splitlines()
    assert 2 < float(seconds) < 60 and any("the take full has ended" in note for note in notes), done.stderr
    assert any(note.startswith("a is no longer recorded") and "cannot be written" in note for note in notes)
    take = session.take("full")
    for camera in take.cameras:
        times = read_image_times(take.layout.frame_times(camera))
        with VideoReader(take.video_path(camera)) as video:
            assert 10 < video.n_frames <= len(times) <= video.n_frames + 10
            assert all(video.read(i).any() for i in range(video.n_frames))
    assert not list(session.layout.incoming.glob("*"))
