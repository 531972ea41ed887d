"""The contract of camera sources, for every listed kind and for one that a new module adds."""

from __future__ import annotations

import re
import socket
import sys
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest

from core.board.pattern import Board
from core.capture.source import (
    SOURCES,
    FoundCamera,
    Source,
    SourceKind,
    SourceOptions,
    discover_cameras,
    open_source,
    parse_camera,
)
from core.capture.sources.demo import FPS, DemoClock
from core.capture.sources.files import expand_folders, sample_cameras
from core.clock import SimulatedClock
from core.errors import CoreError
from core.registry import Registry
from core.session.clocks import CameraClock, DroppedImages

BOARD = Board(columns=5, rows=4, square_mm=120, marker_mm=90, dictionary="DICT_4X4_50", back="none")
PLUGIN = """
from core.capture.source import FoundCamera
from core.types.frame import ArrayImage, Frame
import numpy as np

class Plugin:
    title, example, simulated = "Plug-in", "plugin:1", False
    def accepts(self, address): return address.startswith("plugin:")
    def discover(self): return [FoundCamera(address="plugin:1", title="The only one")]
    def open(self, address, options): return PluginSource(options)

class PluginSource:
    size_px, fps, template = (4, 2), 10.0, None
    def __init__(self, options): self.options = options
    def frames(self):
        for index in range(3):
            data = ArrayImage(np.full((2, 4, 3), index, np.uint8))
            time_ns = self.options.start_ns + index * 10**8
            yield Frame(camera=self.options.camera, index=index, time_ns=time_ns, data=data)
    def close(self): pass

KIND = Plugin()
"""


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sources") / "film.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=20, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for number in range(24):
            frame = av.VideoFrame.from_ndarray(np.full((120, 160, 3), 5 * number, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def options(camera: str = "left", clock: SimulatedClock | None = None) -> SourceOptions:
    clock = clock or SimulatedClock()
    return SourceOptions(camera=camera, start_ns=clock.now_ns(), clock=clock, board=BOARD)


def check_frames(source: Source, camera: str, count: int) -> None:
    """Check the contract of the frames of every source."""
    width, height = source.size_px
    frames = list(islice(source.frames(), count))
    source.close()
    assert [frame.index for frame in frames] == list(range(count))
    assert all(frame.camera == camera for frame in frames)
    assert (np.diff([frame.time_ns for frame in frames]) > 0).all()
    assert all(frame.image.shape == (height, width, 3) and frame.image.dtype == np.uint8 for frame in frames)
    assert frames[0].image is not None and source.fps >= 0
    assert (source.template is None) == all(frame.packet is None for frame in frames)


@pytest.mark.parametrize("name", list(SOURCES))
def test_every_listed_kind_fulfils_the_contract(name: str) -> None:
    kind = SOURCES.get(name)
    assert kind.title and kind.example and isinstance(kind.simulated, bool)
    for found in kind.discover():
        assert isinstance(found, FoundCamera) and found.title and kind.accepts(found.address)
    assert not kind.accepts("nowhere") and not kind.accepts("")
    absent = {
        "network": "rtsp://127.0.0.1:9/x",
        "onvif": "onvif://127.0.0.1:9",
        "device": "v4l2:/dev/video99",
        "genicam": "genicam:nobody",
    }
    with pytest.raises(CoreError) as refused:
        kind.open(absent.get(name, "demo:cam77"), options())
    assert refused.value.hint


def test_each_address_belongs_to_one_kind(video: Path) -> None:
    addresses = ("rtsp://host/a", "http://host/b", "v4l2:/dev/video0", "dshow:Cam", "avfoundation:0", "demo:cam01")
    for address in (*addresses, "genicam:4711", str(video)):
        assert sum(kind.accepts(address) for kind in map(SOURCES.get, SOURCES)) == 1, address


@pytest.mark.parametrize(
    "address", ["demo:cam01", pytest.param("demo:people/cam01", marks=pytest.mark.slow), "{video}"]
)
def test_sources_that_need_no_hardware_yield_frames(address: str, video: Path) -> None:
    check_frames(open_source(address.format(video=video), options()), "left", 12)


def test_a_source_added_in_a_module_is_discovered_and_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plugin_source.py").write_text(PLUGIN, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    sources: Registry[SourceKind] = Registry("camera source", {"plugin": "plugin_source:KIND"})
    assert [camera.address for camera in discover_cameras(sources=sources)] == ["plugin:1"]
    check_frames(open_source("plugin:1", options("mine"), sources), "mine", 3)
    del sys.modules["plugin_source"]


def test_simulated_cameras_are_discovered_apart_from_real_ones() -> None:
    simulated = [camera.address for camera in discover_cameras(simulated=True)]
    assert simulated == [f"demo:{where}cam{i:02d}" for where in ("", "people/") for i in range(1, 5)]
    assert not set(simulated) & {camera.address for camera in discover_cameras()}


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("http://127.0.0.1:{port}/stream", "Nothing answers at this address"),
        ("nowhere", "There is no camera at 'nowhere'"),
        ("v4l2:/dev/video99", "cannot be opened|has no v4l2"),
        ("demo:cam77", "There is no camera at"),
        ("demo:people/cam77", "Demo cameras: people/cam01"),
        ("demo:cam01?offset_ms=soon", "'soon' is not a number"),
        ("demo:cam01?ofset_ms=1", "no setting 'ofset_ms'.*offset_ms"),
    ],
)
def test_invalid_addresses_are_refused_with_a_remedy(address: str, says: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(CoreError) as refused:
        open_source(address.format(port=port), options())
    assert re.search(says, f"{refused.value.message} {refused.value.hint}") and refused.value.hint


def test_a_video_plays_at_its_own_speed_from_the_start_of_the_recording(video: Path) -> None:
    clock = SimulatedClock()
    shared = options(clock=clock)
    clock.sleep(0.3)  # opening took a while
    source = open_source(str(video), shared)
    times, came = [], []
    for frame in source.frames():
        times.append(frame.time_ns)
        came.append(clock.now_ns())
    source.close()
    assert len(times) == 24 and times[0] == shared.start_ns
    assert np.diff(times) == pytest.approx(5e7, rel=0.01)
    assert came[-1] == times[-1] and min(came) >= shared.start_ns + 3e8


def test_a_video_whose_images_are_stored_in_another_order_plays_in_time_and_again(tmp_path: Path) -> None:
    path = tmp_path / "ab.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=20, options={"bf": "3", "b_strategy": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(12):
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 * number, np.uint8), format="rgb24"))
            )
        container.mux(stream.encode(None))
    source = open_source(f"{path}?loop", options())
    assert source.template is None  # packets in another order are encoded again
    frames = list(islice(source.frames(), 30))
    shown = [float(frame.image.mean()) / 20 for frame in frames]
    source.close()
    assert shown == pytest.approx([number % 12 for number in range(30)], abs=0.3)
    assert np.diff([frame.time_ns for frame in frames]) == pytest.approx(5e7, rel=0.01)


def test_a_video_drops_what_a_slow_computer_cannot_take(tmp_path: Path, video: Path) -> None:
    clock = SimulatedClock()
    frames = open_source(str(video), options(clock=clock)).frames()
    first = next(frames)
    clock.sleep(0.9)
    late, *rest = frames
    assert (first.sequence, late.sequence) == (0, 8) and late.index == 1  # 1 to 7 were due more than half a second ago
    assert [frame.sequence for frame in rest] == list(range(9, 24))


def test_a_file_that_is_decoded_too_slowly_is_not_played_later_and_later(video: Path) -> None:
    clock = SimulatedClock()
    source = open_source(f"{video}?loop", options(clock=clock))
    decode = source._images

    def slowly(packet: av.Packet) -> list[object]:
        images = decode(packet)
        clock.sleep(3 / source.fps * len(images))
        return images

    source._images = slowly
    seen = [(clock.now_ns() - frame.time_ns, frame.sequence) for frame in islice(source.frames(), 120)]
    source.close()
    assert max(lag_ns for lag_ns, _ in seen) < 2_000_000_000
    numbers = [number for _, number in seen]
    shown_s = (clock.now_ns() - 10**9) * 1e-9
    assert numbers == sorted(set(numbers)) and numbers[-1] == pytest.approx(source.fps * shown_s, rel=0.1)


def test_a_folder_of_videos_is_one_camera_per_video(tmp_path: Path, video: Path) -> None:
    for name in ("left view.mp4", "right.mp4"):
        (tmp_path / name).write_bytes(video.read_bytes())
    (tmp_path / "notes.txt").write_text("no video", encoding="utf-8")
    expected = (f"left_view={tmp_path}/left view.mp4?loop", f"right={tmp_path}/right.mp4?loop")
    assert expand_folders(["a=demo:cam01", f"{tmp_path}?loop"]) == ("a=demo:cam01", *expected)
    with pytest.raises(CoreError, match=r"No videos|no videos"):
        (tmp_path / "empty").mkdir()
        expand_folders([str(tmp_path / "empty")])
    assert [parse_camera(camera)[0] for camera in sample_cameras()] == ["cam01", "cam02", "cam03", "cam04"]
    assert all(SOURCES.get("file").accepts(parse_camera(camera)[1]) for camera in sample_cameras())


def test_demo_cameras_drop_what_they_cannot_draw_in_time() -> None:
    clock = SimulatedClock()
    frames = open_source("demo:cam01", options(clock=clock)).frames()
    first = next(frames)
    clock.sleep(1.05)  # a slow consumer
    second = next(frames)
    assert (first.index, second.index) == (0, 1)
    assert second.time_ns - first.time_ns == pytest.approx(1e9, abs=2e8)


def test_clocks_of_demo_cameras_err_as_their_address_says() -> None:
    true = CameraClock(offset_s=0.1, drift_ppm=40, drops=(DroppedImages(image=6, count=2),), period_s=1 / FPS)
    clock = DemoClock.parse("offset_ms=100&drift_ppm=40&lose=6,7")
    numbers = np.arange(12)
    wanted = numbers / FPS - true.error_s(numbers / FPS, numbers)
    assert [clock.true_s(number) for number in numbers] == pytest.approx(wanted, abs=1e-12)
    exact = list(islice(open_source("demo:cam01", options()).frames(), 12))
    late = list(islice(open_source("demo:cam01?offset_ms=200&drop=4,5", options()).frames(), 10))
    assert [frame.sequence for frame in late] == [0, 1, 2, 3, 6, 7, 8, 9, 10, 11]
    assert [frame.index for frame in late] == list(range(10))
    for frame in late[2:]:
        assert frame.sequence is not None
        assert frame.time_ns == exact[frame.sequence].time_ns
        np.testing.assert_array_equal(frame.image, exact[frame.sequence - 2].image)


def test_names_of_cameras() -> None:
    assert parse_camera(" left = rtsp://a/b?c=d ") == ("left", "rtsp://a/b?c=d")
    assert parse_camera("rtsp://host/x?user=me") == ("", "rtsp://host/x?user=me")
    assert parse_camera("v4l2:/dev/video0") == ("", "v4l2:/dev/video0")
