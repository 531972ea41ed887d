"""Footage of every kind as a take: images, streams without a container, broken files, folders of them."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import av
from videos import image, number_in, write_video

from core.errors import CoreError
from core.progress import RecordingReporter
from core.session import Session, Take
from core.session.ingest import ingest_videos
from core.session.video import VideoReader


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session.create(tmp_path / "session")


def ingest(session: Session, *sources: Path, fps: float = 0.0, table: Path | None = None) -> tuple[Take, list[str]]:
    reporter = RecordingReporter()
    take = ingest_videos(session, sources, fps=fps, timestamps=table, reporter=reporter)
    return take, [text for text, level in reporter.notes if level == "warning"]


def write_images(folder: Path, numbers: list[int], suffix: str = ".jpg") -> Path:
    folder.mkdir(parents=True)
    for number in numbers:
        cv2.imwrite(str(folder / f"{number:06d}{suffix}"), image(number))
    return folder


def write_stream(path: Path, n: int, codec: str = "libx264", b_frames: int = 2) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format=path.suffix[1:]) as container:
        stream = container.add_stream(codec, rate=30)
        stream.width, stream.height, stream.pix_fmt = 192, 64, "yuv420p"
        stream.options = {"bf": str(b_frames), "g": "10", "crf": "10", "preset": "medium"}
        for number in range(n):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image(number), format="rgb24")))
        container.mux(stream.encode())
    return path


def shown(take: Take, camera: str) -> list[int]:
    with VideoReader(take.video_path(camera)) as video:
        return [number_in(pixels) for pixels in video.frames()]


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_folders_of_images(suffix: str, session: Session, tmp_path: Path) -> None:
    for camera in ("cam01", "cam02"):
        write_images(tmp_path / "in" / camera, [1, 2, 3, 9, 10], suffix)
    with pytest.raises(CoreError, match="cam01 is a folder of 5 images, which have no times") as error:
        ingest(session, tmp_path / "in")
    assert "--fps" in error.value.hint and not session.take_names()
    take, warnings = ingest(session, tmp_path / "in", fps=12.5)
    assert take.cameras == ("cam01", "cam02") and take.manifest.fps == 12.5 and not warnings
    assert shown(take, "cam02") == [1, 2, 3, 9, 10]
    np.testing.assert_allclose(take.timeline().time_s * 12.5, [0, 1, 2, 8, 9], err_msg="missing numbers take time")


def test_images_that_start_at_other_numbers(session: Session, tmp_path: Path) -> None:
    write_images(tmp_path / "in" / "cam01", list(range(1, 11)))
    write_images(tmp_path / "in" / "cam02", list(range(3, 11)))
    take, warnings = ingest(session, tmp_path / "in", fps=30)
    assert "equal numbers are assumed to be simultaneous" in warnings[0]
    assert take.timeline().frame_index[0].tolist() == [2, 0], "the take begins when two cameras have begun"
    write_images(tmp_path / "far" / "cam01", list(range(1, 11)))
    write_images(tmp_path / "far" / "cam02", list(range(5001, 5011)))
    take, warnings = ingest(session, tmp_path / "far", fps=30)
    assert "the first ones are assumed to be simultaneous" in warnings[0]
    assert take.timeline().frame_index[0].tolist() == [0, 0]


def test_every_second_image_and_a_table_of_times(session: Session, tmp_path: Path) -> None:
    for camera in ("cam01", "cam02"):
        write_images(tmp_path / "in" / camera, [0, 2, 4, 8])
    take, _ = ingest(session, tmp_path / "in", fps=30)
    np.testing.assert_allclose(take.timeline().time_s[[0, 1, 2]], [0, 1 / 30, 2 / 30], atol=1e-9)
    table = tmp_path / "times.csv"
    rows = [f"{camera},{n},{0.5 * n}" for camera in ("cam01", "cam02") for n in range(4)]
    table.write_text("\n".join(["cam_id,frame_index,frame_time", *rows]))
    take, _ = ingest(session, tmp_path / "in", table=table)
    np.testing.assert_allclose(take.timeline().time_s, [0, 0.5, 1, 1.5])


@pytest.mark.parametrize(("suffix", "codec", "b_frames"), [(".h264", "libx264", 0), (".h264", "libx264", 3)])
def test_streams_without_a_container(suffix: str, codec: str, b_frames: int, session: Session, tmp_path: Path) -> None:
    for camera in ("cam01", "cam02"):
        write_stream(tmp_path / "in" / f"{camera}{suffix}", 25, codec, b_frames)
    with pytest.raises(CoreError, match=r"cam01\.h264 is a stream without a container") as error:
        ingest(session, tmp_path / "in")
    assert "-c copy cam01.mp4" in error.value.hint
    with pytest.raises(CoreError, match="stream without a container"):
        VideoReader(tmp_path / "in" / f"cam01{suffix}")
    take, warnings = ingest(session, tmp_path / "in", fps=50)
    assert shown(take, "cam01") == list(range(25)) and not warnings
    assert take.manifest.fps == 50
    np.testing.assert_allclose(np.diff(take.timeline().time_s), 0.02, atol=1e-9)


def test_a_copy_that_broke_off_says_what_is_missing(session: Session, tmp_path: Path) -> None:
    write_video(tmp_path / "in" / "A.mp4", n=90, options={"movflags": "faststart"})
    whole = (tmp_path / "in" / "A.mp4").read_bytes()
    (tmp_path / "in" / "B.mp4").write_bytes(whole[: int(0.6 * len(whole))])
    take, warnings = ingest(session, tmp_path / "in")
    n = take.camera("B").n_frames
    assert 0 < n < 90
    assert f"B.mp4 breaks off: {90 - n} of its 90 images are missing. Copy it again from the camera." in warnings


def test_a_broken_matroska_says_what_is_missing(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "A.mkv", n=90).read_bytes()
    (tmp_path / "B.mkv").write_bytes(whole[: int(0.7 * len(whole))])
    with VideoReader(tmp_path / "A.mkv") as video:
        assert video.missing == 0
    with VideoReader(tmp_path / "B.mkv") as video:
        assert abs(video.n_frames + video.missing - 90) <= 2 and video.missing > 5


def test_a_recording_without_its_index_is_said(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "A.mp4", n=30).read_bytes()
    (tmp_path / "B.mp4").write_bytes(whole[: int(0.6 * len(whole))])
    with pytest.raises(CoreError, match=r"B\.mp4 is incomplete: its index") as error:
        VideoReader(tmp_path / "B.mp4")
    assert "untrunc" in error.value.hint


def test_what_is_left_out_of_a_folder_is_named(session: Session, tmp_path: Path) -> None:
    write_video(tmp_path / "in" / "cam01.mp4", n=10)
    write_video(tmp_path / "in" / "cam02.MOV", n=10)
    write_video(tmp_path / "in" / "cam03.3gp", n=10)
    (tmp_path / "in" / "cam04.braw").write_bytes(b"x")
    (tmp_path / "in" / "README.md").write_text("Who filmed this.")
    (tmp_path / "in" / "thumbnails").mkdir()
    take, warnings = ingest(session, tmp_path / "in")
    assert take.cameras == ("cam01", "cam02", "cam03")
    assert warnings == ["Not used in in: cam04.braw, thumbnails/."]
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "notes.txt").write_text("")
    with pytest.raises(CoreError, match=r"no videos and no images, but notes\.txt"):
        ingest(session, tmp_path / "none")


def test_a_folder_for_each_camera(session: Session, tmp_path: Path) -> None:
    for camera in ("cam01", "cam02"):
        write_video(tmp_path / "in" / camera / "GX010001.mp4", n=10)
    take, _ = ingest(session, tmp_path / "in")
    assert take.cameras == ("cam01", "cam02")


def test_whole_milliseconds_are_not_taken_for_the_rate(session: Session, tmp_path: Path) -> None:
    for camera in ("cam01", "cam02"):
        write_video(tmp_path / "in" / f"{camera}.mkv", n=60, fps=60)
    shutil.copy(write_video(tmp_path / "mp4" / "cam03.mp4", n=60, fps=60), tmp_path / "in")
    take, warnings = ingest(session, tmp_path / "in")
    assert take.manifest.fps == 60 and not warnings
    assert {camera.fps for camera in take.manifest.cameras} == {60}
    np.testing.assert_allclose(np.diff(take.timeline().time_s), 1 / 60, atol=1e-8)


def test_a_table_of_times_with_other_counts_is_refused(session: Session, tmp_path: Path) -> None:
    for camera in ("cam01", "cam02"):
        write_video(tmp_path / "in" / f"{camera}.mp4", n=10)
    table = tmp_path / "in" / "timestamps.csv"
    rows = [f"{camera},{n},{0.1 * n}" for camera in ("cam01", "cam02") for n in range(12)]
    table.write_text("\n".join(["cam_id,frame_index,frame_time", *rows]))
    with pytest.raises(CoreError, match="12 times for cam01, whose video has 10 images"):
        ingest(session, tmp_path / "in", table=table)
    _, warnings = ingest(session, tmp_path / "in")
    assert "was not used" in warnings[0] and "12 times" in warnings[0]
