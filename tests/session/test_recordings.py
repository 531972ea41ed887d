"""Import of the recording folders of SkellyCam and caliscope, in the layouts that their versions write."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from videos import write_video

from core.errors import CoreError
from core.progress import RecordingReporter
from core.session import Session
from core.session.footage.sources import find_footage
from core.session.ingest import ingest_videos

FPS = 30.0
TIMES = {"0": np.arange(12) / FPS, "1": 0.1 + np.delete(np.arange(10), 4) / FPS}
"""Camera 1 starts three frames late and drops an image."""
INDEX = np.array([[i, i - 3 - (i > 7) if i != 7 else -1] for i in range(3, 12)])
"""Images of both cameras at each frame; frames begin when two cameras run."""


def write_skellycam(folder: Path, video: str) -> None:
    """Write a recording as SkellyCam has done since 2025; `video` is the form of its file names."""
    videos = folder / "synchronized_videos"
    tables = videos / "timestamps" / "camera_timestamps"
    tables.mkdir(parents=True)
    for camera, times in TIMES.items():
        write_video(videos / f"{video.format(rec=folder.name, id=camera)}.mp4", n=len(times), fps=FPS)
        rows = [f"{i},{100 + i},{t:.9f},{1.7e9 + t},{int(1e12 + t * 1e9)}" for i, t in enumerate(times)]
        columns = "recording_frame_number,connection_frame_number,timestamp.from_recording_start.sec"
        header = f"{'# ' if 'idx' in video else ''}{columns},timestamp.utc.seconds,timestamp.perf_counter_ns.ns"
        (tables / f"{folder.name}.camera{camera}.timestamps.csv").write_text("\n".join([header, *rows]))
    (tables.parent / f"{folder.name}_timestamps.csv").write_text("multiframe_number\n0\n")
    (videos / "synchronized_videos_README.md").write_text("# Synchronized Videos Folder\n")
    (folder / f"{folder.name}_info.json").write_text("{}")


def write_freemocap(folder: Path) -> None:
    """Write a recording as FreeMoCap 1 did: times in ns, in arrays."""
    videos = folder / "synchronized_videos"
    (videos / "timestamps").mkdir(parents=True)
    for camera, times in TIMES.items():
        stem = f"Camera_{int(camera):03d}_synchronized"
        write_video(videos / f"{stem}.mp4", n=len(times), fps=FPS)
        np.save(videos / "timestamps" / f"{stem}_binary.npy", 5e12 + times * 1e9)
    (folder / "output_data").mkdir()


def write_caliscope(folder: Path, table: str, camera_column: str, stem: str) -> None:
    """Write a recording of caliscope, whose first versions number cameras by "port"."""
    rows = [f"sync_index,{camera_column},frame_index,frame_time"]
    for camera, times in TIMES.items():
        write_video(folder / f"{stem}_{camera}.mp4", n=len(times), fps=FPS)
        rows += [f"{round(t * FPS)},{camera},{170 + i},{37.8 + t}" for i, t in enumerate(times)]
    (folder / table).write_text("\n".join(rows))


@pytest.mark.parametrize(
    ("kind", "names", "not_used"),
    [
        ("skellycam", ("camera0", "camera1"), "Not used in rec: rec_info.json."),
        ("skellycam id", ("camera0", "camera1"), "Not used in rec: rec_info.json."),
        ("freemocap", ("Camera_000", "Camera_001"), "Not used in rec: output_data/."),
        ("caliscope", ("cam_0", "cam_1"), ""),
        ("caliscope port", ("port_0", "port_1"), ""),
    ],
)
def test_a_recording_folder_is_imported_with_its_times(
    tmp_path: Path, kind: str, names: tuple[str, ...], not_used: str
) -> None:
    folder = tmp_path / "rec"
    {
        "skellycam": lambda: write_skellycam(folder, "{rec}.camera{id}"),
        "skellycam id": lambda: write_skellycam(folder, "{rec}.id-{id}.idx-{id}"),
        "freemocap": lambda: write_freemocap(folder),
        "caliscope": lambda: write_caliscope(folder, "timestamps.csv", "cam_id", "cam"),
        "caliscope port": lambda: write_caliscope(folder, "frame_time_history.csv", "port", "port"),
    }[kind]()
    reporter = RecordingReporter()
    take = ingest_videos(Session.create(tmp_path / "session"), [folder], reporter=reporter)
    assert (take.name, take.cameras) == ("rec", names)
    assert any(text.startswith("Times of the images come from") for text, _ in reporter.notes)
    assert [text for text, _ in reporter.notes if text.startswith("Not used")] == ([not_used] if not_used else [])
    timeline = take.timeline()
    np.testing.assert_array_equal(timeline.frame_index, INDEX)
    np.testing.assert_allclose(timeline.time_s, np.arange(9) / FPS, atol=1e-6)
    # Chosen one by one in the window, the videos have the same names and times.
    chosen = [footage.path for footage in find_footage([folder])[0]]
    again = ingest_videos(Session.create(tmp_path / "again"), chosen, name="rec", reporter=RecordingReporter())
    assert again.cameras == names
    np.testing.assert_array_equal(again.timeline().frame_index, timeline.frame_index)


def test_times_of_skellycam_that_do_not_fit_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "rec"
    write_skellycam(folder, "{rec}.camera{id}")
    tables = folder / "synchronized_videos" / "timestamps" / "camera_timestamps"
    (tables / "rec.camera1.timestamps.csv").unlink()
    session, reporter = Session.create(tmp_path / "session"), RecordingReporter()
    ingest_videos(session, [folder], name="a", reporter=reporter)
    assert any("was not used: camera_timestamps has no times of rec.camera1" in text for text, _ in reporter.notes)
    with pytest.raises(CoreError, match=r"no times of rec\.camera1"):
        ingest_videos(session, [folder], name="b", timestamps=tables, reporter=reporter)
    (tables / "rec.camera1.timestamps.csv").write_text("a,b\n1,2\n")
    with pytest.raises(CoreError, match="has no columns"):
        ingest_videos(session, [folder], name="b", timestamps=tables, reporter=reporter)
