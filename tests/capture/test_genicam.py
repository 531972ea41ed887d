"""Industrial cameras: fake ones that lose packets, vanish and let themselves be set, and the arithmetic behind them."""

from __future__ import annotations

import re
import struct
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import viva_genicam as vg
from viva_genicam.testing import FakeGigeCamera, FakeU3vCamera

from core.capture.controls import controls_of, set_control
from core.capture.images import VideoImage
from core.capture.recorder import Recorder
from core.capture.source import FoundCamera, Source, SourceOptions, discover_cameras, open_source
from core.capture.sources.genicam.clock import BlockNumbers, LatchedClock
from core.capture.sources.genicam.images import require_readable, video_frame
from core.capture.sources.genicam.source import GenicamSource
from core.capture.sources.genicam.triggers import ActionKeys, Triggered, TriggerTimer, broadcast_address
from core.errors import CoreError
from core.pipelines.params import RecordParams
from core.pipelines.record import run_record
from core.process import ProcessIdentity
from core.progress import RecordingReporter
from core.session import Session, Take
from core.session.incoming import IncomingOwner, reserve
from core.session.ingest import ingest_recording
from core.session.times_table import read_image_times
from core.session.video import VideoReader
from core.types.frame import Frame
from tests.capture.fake_cameras import (
    ARAVIS_SERIAL,
    SERIAL,
    enumeration,
    found_aravis,
    integer,
    selected_float,
    sole_fake,
    start_aravis,
)

OPTIONS = SourceOptions(camera="left", start_ns=0)
PACKETS = 3  # of a block of 64x48 bytes on the loopback interface: leader, payload, trailer


@pytest.fixture(autouse=True, scope="module")
def alone() -> Iterator[None]:
    with sole_fake():
        yield


def opened(address: str = f"genicam:{SERIAL}") -> Source:
    return open_source(address, OPTIONS)


def take(source: Source, count: int) -> list[Frame]:
    return list(islice(source.frames(), count))


class Until(RecordingReporter):
    """Ends a recording once a camera's state says so."""

    def __init__(self, camera: str, enough: Callable[[dict], bool]) -> None:
        super().__init__()
        self._camera, self._enough = camera, enough

    def cancelled(self) -> bool:
        return bool(self.statuses) and self._enough(self.statuses[-1]["cameras"][self._camera])


def recorded(folder: Path, address: str, until: Until) -> Take:
    """Return the take of one camera."""
    session = Session.create(folder / "session")
    params = RecordParams(cameras=(f"left={address}",), kind="motion")
    result = run_record(session, params, session.new_run("record"), until)
    return session.take(result["take"])


@pytest.mark.slow
def test_with_one_percent_of_the_packets_lost_drops_are_listed_exactly(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    lost = [(block, packet) for block in range(2, 2000) for packet in range(PACKETS) if rng.random() < 0.01]
    lost += [(30, packet) for packet in range(PACKETS)]  # a block of which nothing arrives
    session, sources = Session.create(tmp_path / "session"), list[GenicamSource]()
    folder = reserve(session, "take", run="r", cameras=("left",))

    def opener(camera: str, address: str) -> Source:
        source = opened()
        assert isinstance(source, GenicamSource)
        sources.append(source)
        return source

    with FakeGigeCamera(64, 48, fps=100, packet_resend=False, drop_packets=lost) as fake:
        recorder = Recorder({"left": "x"}, opener, folder=folder)
        while recorder.cameras["left"].frames < 250:
            time.sleep(0.05)
        recorder.close()
        assert fake.controller() is None
    owner = IncomingOwner(process=ProcessIdentity.of(), run="r", cameras=("left",), kind="motion")
    reporter = RecordingReporter()
    take = ingest_recording(session, folder, owner, reporter)
    times = read_image_times(take.layout.frame_times("left"))
    missing = [number for gap in times.dropped for number in gap]
    injected = {block for block, _ in lost if block < times.sequence[-1]}
    (source,) = sources
    # A computer that has too much to do may lose more, which the source counts.
    assert injected <= set(missing) and len(missing) <= len(injected) + source.late and len(injected) > 6
    assert times.sequence[0] == 1 and len(times) == take.manifest.n_frames
    (note,) = (text for text, _ in reporter.notes if "from the camera's sequence" in text)
    assert note.startswith(f"left: {len(missing)} images are missing") and f" {missing[0]}, " in note
    camera = recorder.cameras["left"]
    assert len(missing) <= (camera.skipped or 0) + camera.damaged <= len(missing) + 1  # none is counted twice


@pytest.mark.slow
def test_a_camera_killed_in_mid_take_leaves_a_gap_and_comes_back(tmp_path: Path) -> None:
    running = [start_aravis()]

    def enough(camera: dict) -> bool:
        if camera["frames"] >= 30 and len(running) == 1:
            running[0].kill()
            running[0].wait()
            running.append(start_aravis())
        return camera["reconnects"] == 1 and camera["frames"] >= 70

    until = Until("left", enough)
    try:
        take = recorded(tmp_path, f"genicam:{ARAVIS_SERIAL}?size=64x48", until)
    finally:
        for process in running:
            process.kill()
            process.wait()
    texts = [text for text, _ in until.notes]
    assert any("left was lost" in text for text in texts) and any("left is back after" in text for text in texts)
    times = read_image_times(take.layout.frame_times("left"))
    own_s = np.diff(times.source_time_ns) / 1e9  # Aravis' fake stamps with the time of day
    restart = int(np.argmax(own_s))
    assert len(times) >= 70 and own_s[restart] > 0.5 and times.sequence[restart + 1] < times.sequence[restart]
    np.testing.assert_allclose(np.diff(times.time_ns) / 1e9, own_s, atol=0.1)
    np.testing.assert_array_equal(take.timeline().frame_index[:, 0], np.arange(len(times)))
    with VideoReader(take.video_path("left")) as video:
        assert video.n_frames == len(times) and video.read(len(times) - 1).shape == (48, 64, 3)


@pytest.mark.slow
def test_a_recording_ends_at_once_although_no_trigger_comes(tmp_path: Path) -> None:
    with start_aravis() as process:
        try:
            opener = partial(open_source, f"genicam:{ARAVIS_SERIAL}")
            recorder = Recorder({"left": "x"}, lambda camera, address: opener(SourceOptions(camera=camera, start_ns=0)))
            while not recorder.cameras["left"].frames:
                time.sleep(0.02)
            recorder.set_control("left", "trigger", 1)  # a hardware line; no pulse comes
            while not any(c.name == "trigger" and c.value == 1 for c in recorder.cameras["left"].controls):
                time.sleep(0.02)
            recorder.close(timeout_s=60)
            assert recorder.ended
        finally:
            process.kill()


@pytest.mark.slow
def test_a_fake_of_other_makers_is_set_triggered_and_counted_beyond_16_bits() -> None:
    with start_aravis() as camera:
        try:
            source = opened(f"genicam:{ARAVIS_SERIAL}")
            assert set_control(source, "frame_rate", 500).value == 500
            assert set_control(source, "exposure", 1234).value == 1234
            frames = take(source, 300)
            source.close()
        finally:
            camera.kill()
    numbers = [frame.sequence for frame in frames]
    assert numbers[0] < 0xFFFF < numbers[-1] and np.diff(numbers).min() == 1
    assert (np.diff([frame.source_time_ns for frame in frames]) > 0).all()


def test_controls_are_read_back() -> None:
    with FakeGigeCamera(width=64, height=48) as fake:
        source = opened("GenICam:127.0.0.1")
        controls = {control.name: control for control in controls_of(source)}
        assert (
            set(controls) == {"exposure", "gain", "frame_rate", "trigger", "time_stamps"}
            and controls["exposure"].unit == "us"
        )
        assert controls["trigger"].choices == ("free run", "Line1", "Software") and controls["trigger"].value == 0
        assert set_control(source, "exposure", 2500).value == 2500
        assert struct.unpack(">d", fake.peek(fake.REGISTERS["ExposureTime"], 8)) == (2500,)  # it has arrived
        assert set_control(source, "exposure", None).automatic and not set_control(source, "exposure", 900).automatic
        assert set_control(source, "gain", 6).value == 6
        assert set_control(source, "frame_rate", 50).value == 50
        assert set_control(source, "frame_rate", None).automatic
        assert set_control(source, "trigger", 2).value == 2 and source.fps == 30
        for name, value, says in (
            ("exposure", 1e12, "Choose 10 to"),
            ("focus", 1, "It offers: exposure, gain"),
            ("trigger", None, "Give a value"),
        ):
            with pytest.raises(CoreError) as refused:
                set_control(source, name, value)
            assert says in refused.value.hint
        source.close()


@pytest.mark.slow
def test_the_computer_triggers_cameras_that_wait_for_it() -> None:
    with start_aravis() as camera:
        try:
            source = opened(f"genicam:{ARAVIS_SERIAL}")
            set_control(source, "frame_rate", 40)
            names = next(control.choices for control in controls_of(source) if control.name == "trigger")
            assert set_control(source, "trigger", names.index("Software")).value == names.index("Software")
            frames = source.frames()
            assert len(list(islice(frames, 10))) == 10
            set_control(source, "trigger", names.index("Line0"))  # no pulse comes, and it goes on waiting
            set_control(source, "trigger", 0)
            assert len(list(islice(frames, 5))) == 5
            source.close()
        finally:
            camera.kill()


@pytest.mark.slow
def test_white_balance_ptp_and_actions_of_a_camera_that_has_them(tmp_path: Path) -> None:
    with start_aravis() as camera:
        with vg.connect_gige(found_aravis()) as plain:
            description = plain.xml
        camera.kill()
    entry = '<EnumEntry Name="Software" NameSpace="Standard">'
    assert "<!-- Port -->" in description and entry in description
    description = description.replace(entry, '<EnumEntry Name="Action1"><Value>2</Value></EnumEntry>' + entry)
    more = [
        enumeration("BalanceWhiteAuto", 0x1000, "Off", "Continuous"),
        enumeration("BalanceRatioSelector", 0x1004, "Red", "Blue"),
        selected_float("BalanceRatio", 0x1010, "BalanceRatioSelector"),
        '<Boolean Name="PtpEnable"><pIsLocked>TLParamsLocked</pIsLocked><pValue>PtpEnabledReg</pValue></Boolean>'
        + integer("PtpEnabled", 0x1020),
        enumeration("PtpStatus", 0x1024, "Listening", "Slave", "Master"),
        integer("PtpOffsetFromMaster", 0x1028),
        *(integer(f"Action{name}", 0x1030 + 4 * i) for i, name in enumerate(("DeviceKey", "GroupKey", "GroupMask"))),
    ]
    (tmp_path / "more.xml").write_text(description.replace("<!-- Port -->", "".join(more)), encoding="utf-8")
    with start_aravis("-g", str(tmp_path / "more.xml")) as process:
        try:
            camera = vg.connect_gige(found_aravis())
            source = GenicamSource(camera, "fake", OPTIONS, "127.0.0.1")
            for name, value in (("white_balance_red", 1.5), ("white_balance_blue", 2.25)):
                camera.write_register(0x1000, (1).to_bytes(4, "big"))
                assert set_control(source, name, value).automatic is False
            assert struct.unpack(">dd", camera.read_register(0x1010, 16)) == (1.5, 2.25)
            assert set_control(source, "white_balance_red", None).automatic
            assert set_control(source, "ptp", 1).value == 1 and camera.read_register(0x1020)[-1] == 1
            camera.write_register(0x1024, (1).to_bytes(4, "big"))
            camera.write_register(0x1028, (-120).to_bytes(4, "big", signed=True))
            shown = {control.name: control for control in source.controls()}
            assert shown["ptp_status"].choices == ("slave",)
            assert (shown["ptp_offset"].value, shown["ptp_offset"].unit) == (-120, "ns")
            with pytest.raises(CoreError, match="only reports ptp_offset"):
                set_control(source, "ptp_offset", 0)
            frames = source.frames()
            next(frames)
            with pytest.raises(vg.GenicamError):
                camera.set_bool("PtpEnable", False)  # locked while the camera runs, which therefore pauses
            assert set_control(source, "ptp", 0).value == 0 and camera.read_register(0x1020)[-1] == 0
            next(frames)
            action = shown["trigger"].choices.index("Action1")
            assert set_control(source, "trigger", action).value == action
            assert struct.unpack(">3i", camera.read_register(0x1030, 12)) == (0x5350, 1, 1)
            set_control(source, "trigger", 0)
            next(frames)
            source.close()
        finally:
            process.kill()


def test_action_commands_go_out_at_the_rate_of_the_slowest_camera() -> None:
    timer, due = TriggerTimer(), list[int]()

    def ticks(time_ns: int) -> int:
        due.append(time_ns)
        return time_ns

    def wait_for(count: int) -> None:
        while fake.actions() < count:
            time.sleep(0.005)

    with FakeGigeCamera(64, 48) as fake:
        keys = ActionKeys(device=fake.DEVICE_KEY, group=fake.GROUP_KEY, mask=fake.GROUP_MASK)
        timer.add("fast", Triggered(fps=100, destination=fake.ip, keys=keys, ticks=ticks))
        wait_for(8)
        assert abs(len(due) - fake.actions()) <= 1 and np.diff(due).min() >= 10_000_000  # scheduled ahead, once each
        timer.add("slow", Triggered(fps=50, destination=fake.ip, keys=keys))  # not aligned: both act at once
        begun = len(due) + 1
        wait_for(fake.actions() + 5)
        assert np.diff(due[begun:]).min() >= 20_000_000
        timer.remove("fast")
        timer.remove("slow")
    assert broadcast_address("127.0.0.1") == "127.0.0.1"


@pytest.mark.slow
def test_an_address_chooses_size_rate_and_pixel_format() -> None:
    with start_aravis() as camera:
        try:
            source = opened(f"genicam:{ARAVIS_SERIAL}?size=256x128&fps=90&format=BayerRG8")
            assert source.size_px == (256, 128) and source.fps == pytest.approx(90, rel=1e-4)
            assert take(source, 2)[1].image.shape == (128, 256, 3)
            source.close()
            for mode, says in (("format=mono7", "It offers: BayerBG8"), ("size=9999x10", "Choose another size")):
                with pytest.raises(CoreError) as refused:
                    opened(f"genicam:{ARAVIS_SERIAL}?{mode}")
                assert says in refused.value.hint
        finally:
            camera.kill()


@pytest.mark.slow
def test_a_camera_is_found_by_each_of_its_names_and_only_once_controlled() -> None:
    with FakeGigeCamera(width=64, height=48) as fake:
        found = FoundCamera(address=f"genicam:{SERIAL}", title=f"viva-genicam FakeGigE {SERIAL}")
        assert found in discover_cameras() and fake.controller() is None
        source = opened(f"genicam:{fake.MAC.replace(':', '').lower()}")
        with pytest.raises(CoreError, match="cannot be opened") as refused:
            opened()
        assert "Close other programs" in refused.value.hint
        source.close()
        opened().close()
        with pytest.raises(CoreError, match="no industrial camera 'nobody'") as refused:
            opened("genicam:nobody")
        assert SERIAL in refused.value.hint


@pytest.mark.slow
def test_a_camera_that_vanishes_ends_with_a_reason() -> None:
    fake = FakeGigeCamera(width=64, height=48, fps=60)
    fake.start()
    source = opened()
    frames = source.frames()
    next(frames)
    fake.stop()
    with pytest.raises(CoreError, match="was lost") as lost:
        list(frames)
    assert "cable" in lost.value.hint
    source.close()


def test_usb_cameras_tell_when_their_images_were_taken() -> None:
    source = GenicamSource(FakeU3vCamera(64, 48).connect(), "fake", SourceOptions(camera="u", start_ns=0))
    before = time.monotonic_ns()
    frames = take(source, 20)
    after = time.monotonic_ns()
    source.close()
    assert [frame.sequence for frame in frames] == list(range(20)) and source.size_px == (64, 48)
    times, clock = (np.array([getattr(f, name) for f in frames]) for name in ("time_ns", "source_time_ns"))
    assert before - 10**6 < times[0] and times[-1] < after
    np.testing.assert_allclose(np.diff(times), np.diff(clock), atol=10)  # one latch: nothing of arrivals is in them


def test_without_the_package_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "viva_genicam", None)
    with pytest.raises(CoreError, match="need the package viva-genicam") as missing:
        opened()
    assert re.search(r"-m pip install .viva-genicam>=", missing.value.hint)
    assert not [found for found in discover_cameras() if found.address.startswith("genicam:")]


def test_block_numbers_go_on_after_65535_and_after_a_restart() -> None:
    numbers = BlockNumbers()
    assert [numbers.number(i) for i in (65533, 65535, 1, 4)] == [65533, 65535, 65536, 65539]
    assert [numbers.number(i) for i in (1, 2)] == [65540, 65541]  # the camera began again
    wide = BlockNumbers()
    assert [wide.number(i) for i in (0, 65535, 65536, 65538)] == [0, 65535, 65536, 65538]


def test_a_latched_clock_is_followed_through_its_drift_and_a_step() -> None:
    ahead, drift, now = [10**12], 80e-6, [0]

    def camera_ns(host_ns: int) -> int:
        return round(host_ns * (1 + drift)) + ahead[0]

    def latch() -> tuple[int, int, int]:
        return now[0] - 200_000, now[0] + 200_000, camera_ns(now[0])

    clock, errors = LatchedClock(latch), []
    for taken in range(10**9, 180 * 10**9, 33_333_333):
        now[0] = taken + 40_000_000 + (7919 * taken) % 30_000_000  # exposure and transfer, which varies
        if taken > 120 * 10**9:
            ahead[0] = 5 * 10**12  # PTP sets the camera's clock
        errors.append(clock.time_ns(camera_ns(taken), now[0]) - taken)
    usual = np.abs(errors[1200:3500])
    assert np.median(usual) < 30_000 and np.abs(errors[:1200]).max() < 500_000
    assert np.abs(errors[-1000:]).max() < 30_000  # read again after the step
    assert clock.camera_ns(now[0]) == pytest.approx(camera_ns(now[0]), abs=30_000)


def test_without_a_latch_images_take_the_shortest_delay() -> None:
    clock, rng = LatchedClock(None), np.random.default_rng(2)
    taken = np.arange(600) * 10_000_000
    arrived = taken + 3_000_000 + rng.exponential(4e6, 600).astype(np.int64)
    times = np.array([clock.time_ns(int(t), int(a)) for t, a in zip(taken + 10**11, arrived, strict=True)])
    assert np.abs(times - taken - 3_000_000)[100:].max() < 500_000 and (np.diff(times) > 0).all()
    assert [clock.time_ns(None, int(times[-1]) - 5), clock.time_ns(None, 10**13)] == [times[-1] + 1, 10**13]


COLOURS = np.array([[[200, 100, 50]] * 8] * 6, np.uint8)


def mosaic(order: str, bits: int) -> np.ndarray:
    out = np.empty((6, 8), np.uint16)
    for place, channel in enumerate(order):
        out[place // 2 :: 2, place % 2 :: 2] = COLOURS[0, 0, "RGB".index(channel)]
    return out << (bits - 8)


def packed12(values: np.ndarray) -> bytes:
    """PFNC's Mono12p: two pixels in three bytes, least significant bits first."""
    low, high = values.reshape(-1, 2).T.astype(np.uint32)
    both = low | high << 12
    return np.stack([both, both >> 8, both >> 16], -1).astype(np.uint8).tobytes()


@pytest.mark.parametrize(
    ("pixel_format", "payload", "expected"),
    [
        ("Mono8", mosaic("RRRR", 8).astype(np.uint8).tobytes(), (200, 200, 200)),
        ("Mono10", mosaic("RRRR", 10).tobytes(), (200, 200, 200)),
        ("Mono12p", packed12(mosaic("RRRR", 12)), (200, 200, 200)),
        ("BayerRG8", mosaic("RGGB", 8).astype(np.uint8).tobytes(), (200, 100, 50)),
        ("BayerGB8", mosaic("GBRG", 8).astype(np.uint8).tobytes(), (200, 100, 50)),
        ("BayerGR12", mosaic("GRBG", 12).tobytes(), (200, 100, 50)),
        ("BayerBG12p", packed12(mosaic("BGGR", 12)), (200, 100, 50)),
        ("RGB8", COLOURS.tobytes(), (200, 100, 50)),
        ("BGR8", COLOURS[..., ::-1].tobytes(), (200, 100, 50)),
        ("YUV422_8", bytes([124, 86, 124, 182]) * 24, (200, 100, 50)),  # BT.601, full range
        ("YUV422_8_UYVY", bytes([86, 124, 182, 124]) * 24, (200, 100, 50)),
    ],
)
def test_pixel_formats_become_the_colours_they_mean(
    pixel_format: str, payload: bytes, expected: tuple[int, int, int]
) -> None:
    require_readable("camera", pixel_format)
    image = VideoImage(lambda: video_frame(vg.Frame.from_bytes(payload, 8, 6, pixel_format))).rgb()
    assert image.shape == (6, 8, 3)
    assert np.abs(image.astype(int) - expected).max() <= 2


def test_lines_may_be_padded_and_unknown_formats_are_refused() -> None:
    rows = np.full((6, 12), 9, np.uint8)
    rows[:, :8] = 77
    for pixel_format, width in (("Mono8", 8), ("YUV422_8", 4)):
        data = rows.copy()
        data[:, 1:8:2] = 128 if pixel_format.startswith("YUV") else 77
        frame = video_frame(vg.Frame.from_bytes(data.tobytes(), width, 6, pixel_format, padding_x=4))
        assert (frame.to_ndarray(format="gray")[:, :width] == 77).all()
    with pytest.raises(CoreError, match="sends images as Coord3D_ABC32f") as refused:
        require_readable("camera", "Coord3D_ABC32f")
    assert "Mono8" in refused.value.hint
