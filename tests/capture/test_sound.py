"""Sound of cameras: in step with the images, never at their cost, and only where it is wanted."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from core.clock import SYSTEM_CLOCK, Clock, SimulatedClock
from core.pipelines.params import CutTakeParams, RecordParams
from core.pipelines.record import run_record
from core.pipelines.takes.cut import run_cut_take
from core.progress import RecordingReporter
from core.session import Session

RATE_HZ, FPS = 8000, 25
FIRST_S, EVERY_S, LONG_S = 0.6, 2.0, 0.2
"""Of the flashes, each with a tone."""


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session.create(tmp_path / "session")


def on(time_s: np.ndarray) -> np.ndarray:
    return np.asarray((time_s >= FIRST_S - 1e-9) & ((time_s - FIRST_S + 1e-9) % EVERY_S < LONG_S))


def write_flashes(path: Path, codec: str, seconds: float, heard_s: float | None = None) -> Path:
    """Write a video of flashes with tones, which may fall silent before its end."""
    with av.open(str(path), "w") as container:
        images = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "tune": "zerolatency"})
        images.width, images.height, images.pix_fmt = 64, 48, "yuv420p"
        images.codec_context.gop_size = FPS
        sound = container.add_stream(codec, rate=RATE_HZ, layout="mono")
        time_s = np.arange(round((heard_s or seconds) * RATE_HZ)) / RATE_HZ
        wave = (on(time_s) * 20_000 * np.sin(2 * np.pi * 1000 * time_s)).astype(np.int16)
        for number in range(round(seconds * FPS)):
            lit = bool(on(np.array([number / FPS]))[0])
            image = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 255 * lit, np.uint8), format="rgb24")
            image.pts = number
            container.mux(images.encode(image))
            part = wave[number * RATE_HZ // FPS : (number + 1) * RATE_HZ // FPS]
            if len(part):
                samples = av.AudioFrame.from_ndarray(part[None], format="s16", layout="mono")
                samples.sample_rate, samples.pts = RATE_HZ, number * RATE_HZ // FPS
                container.mux(sound.encode(samples))
        container.mux(images.encode(None))
        container.mux(sound.encode(None))
    return path


def late_ms(video: Path) -> list[float]:
    """Return by how much each tone begins after its flash, ms."""
    with av.open(str(video)) as container:
        lit = [(image.time, image.to_ndarray(format="gray").mean() > 100) for image in container.decode(video=0)]
    flashes = [time_s for (time_s, now), (_, before) in zip(lit[1:], lit, strict=False) if now and not before]
    loud: list[float] = []
    with av.open(str(video)) as container:
        for samples in container.decode(audio=0):
            wave = np.abs(samples.to_ndarray().ravel() / (1 if samples.format.name.startswith("flt") else 32768))
            loud += [samples.time + at / samples.sample_rate for at in np.flatnonzero(wave > 0.2)]
    tones = [time_s for time_s, before in zip(loud, [-1.0, *loud], strict=False) if time_s - before > 0.5]
    return [1000 * min((tone - flash for tone in tones), key=abs) for flash in flashes]


def recorded(session: Session, camera: str, seconds: float, clock: Clock, *, sound: bool = True) -> list[str]:
    """Record a take `take`, and return the notes."""
    params = RecordParams(cameras=(f"a={camera}",), name="take", kind="motion", duration_s=seconds, sound=sound)
    reporter = RecordingReporter()
    run_record(session, params, session.new_run("record"), reporter, clock)
    return [text for text, _ in reporter.notes]


def test_sound_of_a_played_file_is_in_step_with_its_images(session: Session, tmp_path: Path) -> None:
    video = write_flashes(tmp_path / "a.mkv", "pcm_s16le", 5)
    recorded(session, f"{video}?loop", 9, SimulatedClock())  # it begins again after 5 s
    take = session.take("take")
    assert take.manifest.cameras[0].sound == "pcm_s16le" and take.manifest.cameras[0].n_frames in (225, 226)
    assert np.abs(late_ms(take.video_path("a"))).max() < 25 and len(late_ms(take.video_path("a"))) == 5
    run_cut_take(
        session,
        CutTakeParams(take="take", from_s=1, to_s=4, name="part"),
        session.new_run("cut-take"),
        RecordingReporter(),
    )
    part = session.take("part")
    assert part.manifest.cameras[0].sound and np.abs(late_ms(part.video_path("a"))).max() < 25


def test_sound_is_recorded_where_it_is_wanted_only(session: Session, tmp_path: Path) -> None:
    video = write_flashes(tmp_path / "a.mov", "pcm_mulaw", 2)
    notes = recorded(session, str(video), 1, SimulatedClock(), sound=False)
    assert any("--sound" in note for note in notes)
    assert not session.take("take").manifest.cameras[0].sound
    with av.open(str(session.take("take").video_path("a"))) as container:
        assert not container.streams.audio


def test_sound_that_matroska_does_not_take_is_stored_as_pcm(session: Session, tmp_path: Path) -> None:
    recorded(session, str(write_flashes(tmp_path / "a.mov", "pcm_mulaw", 4)), 4, SimulatedClock())
    take = session.take("take")
    assert take.manifest.cameras[0].sound == "pcm_s16le" and np.abs(late_ms(take.video_path("a"))).max() < 25


def test_sound_that_breaks_off_is_said_and_costs_no_image(session: Session, tmp_path: Path) -> None:
    notes = recorded(session, str(write_flashes(tmp_path / "a.mkv", "aac", 9, heard_s=2)), 8, SimulatedClock())
    assert sum("a no longer sends sound" in note for note in notes) == 1
    assert session.take("take").manifest.cameras[0].n_frames in (200, 201)


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["aac", "pcmu"])
def test_sound_of_a_network_camera_is_in_step_with_its_images(
    rtsp: str, codec: str, session: Session, tmp_path: Path
) -> None:
    video = write_flashes(tmp_path / "a.mkv", "pcm_s16le", 12)
    notes = recorded(session, f"{rtsp}/sound/{codec}?{video}", 6, SYSTEM_CLOCK)
    assert not any("damaged" in note for note in notes)  # lost sound costs no image
    late = late_ms(session.take("take").video_path("a"))
    assert len(late) >= 2 and np.abs(late).max() < 60  # of which the server's AAC encoder takes 34
