"""Random access to the exact image, whatever the container does with times, rotation and truncation."""

from __future__ import annotations

import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from videos import image, number_in, write_video

from core.errors import CoreError
from core.progress import NullReporter, RecordingReporter
from core.session import Session
from core.session.footage.images import CameraImages, DamagedImages
from core.session.ingest import ingest_videos
from core.session.video import MissingImageError, VideoReader


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".ts", ".avi"])
def test_any_order_gives_the_exact_image(tmp_path: Path, suffix: str) -> None:
    with VideoReader(write_video(tmp_path / f"a{suffix}", n=50, b_frames=0 if suffix == ".avi" else 2)) as video:
        assert (video.n_frames, video.size_px, video.rotation_deg) == (50, (192, 64), 0)
        order = [0, 1, 2, 30, 29, 31, 5, 49, 49, 0, 12, 44]
        assert [number_in(video.read(i)) for i in order] == order
        assert [number_in(f) for f in video.frames(8, 14)] == list(range(8, 14))


def test_avi_with_reordered_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CoreError, match="convert it to MP4"):
        VideoReader(write_video(tmp_path / "a.avi"))


def test_reading_forward_does_not_seek(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with VideoReader(write_video(tmp_path / "a.mp4", n=40)) as video:
        sought: list[int] = []
        seek = video._seek
        monkeypatch.setattr(video, "_seek", lambda i: (sought.append(i), seek(i)))
        for i in range(40):
            video.read(i)
        assert sought == []
        video.read(3)
        assert sought == [3]


def test_variable_frame_rate_keeps_its_times(tmp_path: Path) -> None:
    times = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.07, 40))
    for suffix, tick in ((".mp4", 1 / 90000), (".mkv", 1e-3)):
        with VideoReader(write_video(tmp_path / f"a{suffix}", n=40, times_s=list(times))) as video:
            np.testing.assert_allclose(video.times_s, times - times[0], atol=tick)
            assert [number_in(video.read(i)) for i in (39, 17, 18, 3)] == [39, 17, 18, 3]


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_phone_images_are_returned_upright(tmp_path: Path, turn: int) -> None:
    size = (192, 64) if turn == 180 else (64, 192)
    path = write_video(tmp_path / "phone.mp4", n=5, size_px=size, turn_deg=turn)
    with VideoReader(path) as video:
        assert video.rotation_deg == turn
        assert video.size_px == (192, 64)
        assert video.read(3).shape == (64, 192, 3)
        assert number_in(video.read(3)) == 3
    with VideoReader(path, rotation_deg=0) as stored:
        assert stored.size_px == size
    with VideoReader(path, rotation_deg=turn) as video:
        assert number_in(video.read(4)) == 4


def test_mirrored_video_is_refused(tmp_path: Path) -> None:
    import av

    path = tmp_path / "selfie.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 192, 64, "yuv420p"
        stream.set_display_rotation(90, hflip=True)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image(0), format="rgb24")))
        container.mux(stream.encode())
    with pytest.raises(CoreError, match=r"selfie\.mp4.*mirrored"):
        VideoReader(path)


@pytest.mark.parametrize(("suffix", "options"), [(".mkv", {}), (".ts", {}), (".mp4", {"movflags": "faststart"})])
def test_truncated_files_are_read_up_to_their_last_complete_image(
    tmp_path: Path, suffix: str, options: dict[str, str]
) -> None:
    whole = write_video(tmp_path / f"a{suffix}", n=60, options=options)
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.8)])
    with VideoReader(cut) as video:
        count = video.whole_frames()
        assert 20 < count <= video.n_frames < 60
        # Images are coded out of order: one that was cut off may lie before the last whole one.
        expected = np.round(video.times_s[:count] * 30).astype(int)
        assert [number_in(f) for f in video.frames(0, count)] == expected.tolist()


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [("empty.mp4", b"", "0 bytes"), ("text.mp4", b"hello " * 500, "cannot be read as a video")],
)
def test_files_that_are_no_video_are_refused_with_a_remedy(tmp_path: Path, name: str, data: bytes, says: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(CoreError, match=says) as caught:
        VideoReader(path)
    assert name in caught.value.message
    assert caught.value.hint


def test_unfinished_mp4_and_missing_file_are_refused(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "a.mp4")
    cut = tmp_path / "unfinished.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(CoreError, match=r"unfinished\.mp4"):
        VideoReader(cut)
    with pytest.raises(CoreError, match="does not exist"):
        VideoReader(tmp_path / "nowhere.mp4")


def test_number_outside_the_file_is_refused(tmp_path: Path) -> None:
    with VideoReader(write_video(tmp_path / "a.mp4", n=5)) as video:
        for index in (-1, 5):
            with pytest.raises(CoreError, match="has 5 images"):
                video.read(index)


def test_stream_cut_before_a_key_frame_starts_at_the_first_that_decodes(tmp_path: Path) -> None:
    import av

    source, path = write_video(tmp_path / "a.mkv", n=40, gop=10), tmp_path / "cut.mkv"
    with av.open(str(source)) as read, av.open(str(path), "w") as write:
        stream = write.add_stream_from_template(read.streams.video[0])
        for packet in read.demux(video=0):
            if packet.size and packet.pts >= 150:
                packet.stream = stream
                write.mux(packet)
    with VideoReader(path) as video:
        numbers = [number_in(f) for f in video.frames()]
    assert numbers == list(range(numbers[0], 40))
    assert numbers[0] in (10, 20)


def _copied(source: Path, path: Path, change: Callable[[int], int]) -> Path:
    """Copy the packets with changed times in ms."""
    with av.open(str(source)) as read, av.open(str(path), "w") as write:
        stream = write.add_stream_from_template(read.streams.video[0])
        for packet in read.demux(video=0):
            ms = [round(1000 * float(t * packet.time_base)) for t in (packet.pts, packet.dts) if t is not None]
            if packet.size:
                ticks = Fraction(1, 1000) / packet.time_base
                packet.pts, packet.dts = (round(change(t) * ticks) for t in (ms[0], ms[-1]))
                packet.stream = stream
                write.mux(packet)
    return path


def test_file_trimmed_without_encoding_begins_within_a_group_of_pictures(tmp_path: Path) -> None:
    source = write_video(tmp_path / "a.mp4", n=40, fps=25, gop=40, b_frames=0)
    with VideoReader(_copied(source, tmp_path / "b.mp4", lambda ms: ms - 400)) as video:
        assert (video.n_frames, video.whole_frames()) == (30, 30)
        assert [number_in(video.read(i)) for i in (7, 0, 29, 3)] == [17, 10, 39, 13]


def test_joined_recordings_whose_times_start_again_are_refused(tmp_path: Path) -> None:
    part = write_video(tmp_path / "a.ts", n=100)
    whole = tmp_path / "b.ts"
    whole.write_bytes(part.read_bytes() * 2)
    with pytest.raises(CoreError, match=r"The times of b\.ts start again at image \d+ of \d+"):
        VideoReader(whole)


def test_images_with_the_time_of_another_one_are_counted(tmp_path: Path) -> None:
    source = write_video(tmp_path / "a.mkv", n=40, fps=25, gop=1, b_frames=0)
    pairs = _copied(source, tmp_path / "b.mkv", lambda ms: ms // 80 * 80)
    take = ingest_videos(Session.create(tmp_path / "s"), [pairs], reporter=NullReporter())
    assert "b.mkv: 20 of 40 images have the time of another one and are not used." in " ".join(take.manifest.notes)


def test_interlaced_video_is_noted(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", codec_options={"x264-params": "tff=1"})
    take = ingest_videos(Session.create(tmp_path / "s"), [video], reporter=NullReporter())
    assert "a.mp4 is interlaced" in " ".join(take.manifest.notes)


def _damage(path: Path, images: set[int]) -> None:
    """Overwrite the data of some images of a video without B-frames."""
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    for position, size in (packets[i] for i in images):
        data[position : position + size] = b"\xff" * size
    path.write_bytes(data)


@pytest.mark.parametrize("lost", [{0}, {10}, {4, 5}, set(range(23, 30))])
def test_damaged_images_are_missing_and_shift_no_other_one(tmp_path: Path, lost: set[int]) -> None:
    path = write_video(tmp_path / "a.mp4", gop=1, b_frames=0)
    _damage(path, lost)
    with VideoReader(path) as video:
        assert (video.n_frames, video.first) == (30, 1 if 0 in lost else 0)
        for i in [*range(30), *range(29, -1, -1)]:
            if i in lost:
                with pytest.raises(MissingImageError, match=f"Image {i} of"):
                    video.read(i)
            else:
                assert number_in(video.read(i)) == i


def test_a_video_without_any_whole_image_is_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", gop=1, b_frames=0)
    _damage(path, set(range(30)))
    with pytest.raises(CoreError, match=r"No image of a\.mp4 can be decoded"):
        VideoReader(path)


def test_damaged_images_of_a_take_are_named_once(tmp_path: Path) -> None:
    session = Session.create(tmp_path / "s")
    videos = [write_video(tmp_path / f"cam{i}.mp4", gop=1, b_frames=0) for i in range(2)]
    take = ingest_videos(session, videos, name="walk", reporter=NullReporter())
    _damage(take.video_path("cam1"), {7, 8, 29})
    damaged, reporter = DamagedImages(), RecordingReporter()
    with CameraImages(take, "cam1", damaged) as images:
        read = [images.read(i) for i in range(30)] + [images.read_gray(7)]
    assert [i for i, pixels in enumerate(read) if pixels is None] == [7, 8, 29, 30]
    damaged.report(reporter)
    assert [level for _, level in reporter.notes] == ["warning"]
    assert reporter.notes[0][0].startswith(
        "cam1: 3 images cannot be decoded and count as missing; the first is image 7 "
    )
