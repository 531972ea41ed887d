"""Import of videos as a take; refusals name the file and the remedy."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from videos import number_in, write_video

from core.errors import CancelledError, CoreError
from core.files import write_json
from core.progress import NullReporter, RecordingReporter
from core.session import Session, Take
from core.session.incoming import discard, reserve
from core.session.ingest import ingest_videos
from core.session.naming import cameras_of_files
from core.session.timing import align_times
from core.session.video import VideoReader
from core.types import Camera, CameraRig


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session.create(tmp_path / "session")


def give_rig(session: Session, names: list[str], size_px: tuple[int, int] = (192, 64)) -> None:
    cameras = [
        Camera(name=n, size_px=size_px, K=[[200, 0, 96], [0, 200, 32], [0, 0, 1]], R=np.eye(3), t_mm=[i, 0, 0])
        for i, n in enumerate(names)
    ]
    CameraRig(cameras=tuple(cameras)).save(session.layout.rig)


def shown(take: Take, frame: int) -> list[int]:
    """Numbers read from the images of a frame, -1 where dropped."""
    row = take.timeline().frame_index[frame]
    return [
        -1 if i < 0 else number_in(VideoReader(take.video_path(c)).read(int(i)))
        for c, i in zip(take.cameras, row, strict=True)
    ]


def test_four_synchronised_cameras(session: Session, tmp_path: Path) -> None:
    for i in range(4):
        write_video(tmp_path / "in" / f"cam{i}.mp4", n=20, fps=60)
    reporter = RecordingReporter()
    take = ingest_videos(session, [tmp_path / "in"], reporter=reporter)
    assert take.name == "in"
    assert take.cameras == ("cam0", "cam1", "cam2", "cam3")
    assert (take.manifest.n_frames, round(take.manifest.fps, 6)) == (20, 60)
    assert take.manifest.notes == ()
    timeline = take.timeline()
    np.testing.assert_array_equal(timeline.frame_index, np.repeat(np.arange(20)[:, None], 4, 1))
    np.testing.assert_allclose(timeline.time_s, np.arange(20) / 60, atol=1e-4)
    assert shown(take, 13) == [13] * 4
    assert session.take_names() == ["in"]
    done, total, _ = reporter.progresses[-1]
    assert done == total > 0
    assert not session.layout.incoming.exists()


def test_unequal_lengths_end_where_fewer_than_two_are_left(session: Session, tmp_path: Path) -> None:
    videos = [write_video(tmp_path / f"cam{i}.mp4", n=n) for i, n in enumerate((10, 40, 25))]
    reporter = RecordingReporter()
    take = ingest_videos(session, videos, name="walk", reporter=reporter)
    index = take.timeline().frame_index
    assert len(index) == 25
    np.testing.assert_array_equal((index >= 0).sum(0), [10, 25, 25])
    notes_text = " ".join(take.manifest.notes)
    assert "cam1: the last 15 images are not used; it ran 0.50 s longer than the others." in notes_text
    assert "cam0 stops 0.50 s before the end" in notes_text
    *notes, start = [text for text, _ in reporter.notes]
    assert notes == list(take.manifest.notes)
    assert start.startswith("The videos are assumed to start together.")


def test_different_rates_take_the_median_and_mark_what_is_missing(session: Session, tmp_path: Path) -> None:
    videos = [
        write_video(tmp_path / f"cam{i}.mp4", n=n, fps=f) for i, (n, f) in enumerate([(60, 60), (30, 30), (60, 60)])
    ]
    take = ingest_videos(session, videos, reporter=NullReporter())
    index = take.timeline().frame_index
    assert round(take.manifest.fps) == 60
    np.testing.assert_array_equal(index[:, 0], np.arange(60))
    np.testing.assert_array_equal(index[::2, 1], np.arange(30))
    assert (index[1::2, 1] == -1).all()
    assert any("cam1 has 30 fps; the take has 60 fps" in n for n in take.manifest.notes)


def test_variable_frame_rate_takes_the_nearest_image(session: Session, tmp_path: Path) -> None:
    steps = np.random.default_rng(1).uniform(0.02, 0.055, 50)
    times = np.concatenate([[0], np.cumsum(steps)])
    steady = [write_video(tmp_path / f"cam{i}.mp4", n=50) for i in (0, 1)]
    phone = write_video(tmp_path / "cam2.mp4", n=51, times_s=list(times))
    take = ingest_videos(session, [*steady, phone], reporter=NullReporter())
    timeline = take.timeline()
    for t, frame in enumerate(timeline.time_s):
        distance = np.abs(times - frame)
        used = timeline.frame_index[t, 2]
        assert used == (distance.argmin() if distance.min() <= 0.5 / 30 else -1) or used == -1
    used = timeline.frame_index[:, 2]
    assert len(set(used[used >= 0])) == (used >= 0).sum() > 35
    np.testing.assert_allclose(timeline.frame_time_s[used >= 0, 2], times[used[used >= 0]], atol=1e-4)
    assert any("cam2 has a variable frame rate" in n for n in take.manifest.notes)


def test_dropped_images_leave_the_others_synchronised(session: Session, tmp_path: Path) -> None:
    kept = [i for i in range(40) if i not in (10, 11, 12, 25)]
    first = write_video(tmp_path / "a.mkv", n=len(kept), times_s=[k / 30 for k in kept])
    second = write_video(tmp_path / "b.mkv", n=40)
    take = ingest_videos(session, [second, first], reporter=NullReporter())
    index = take.timeline().frame_index
    assert len(index) == 40
    np.testing.assert_array_equal(np.flatnonzero(index[:, 1] < 0), [10, 11, 12, 25])
    np.testing.assert_array_equal(index[index[:, 1] >= 0, 1], np.arange(len(kept)))


def test_gaps_of_the_reference_itself_are_filled(session: Session, tmp_path: Path) -> None:
    times = [k / 30 for k in range(40) if k not in (10, 11, 12)]
    videos = [write_video(tmp_path / f"{n}.mp4", n=37, times_s=times) for n in "ab"]
    slow = write_video(tmp_path / "c.mp4", n=20, fps=15)
    take = ingest_videos(session, [*videos, slow], reporter=NullReporter())
    timeline = take.timeline()
    # The reference lacks frames 10 to 12; the slow camera has an image for 10 and 12, and no camera one for 11.
    expected = np.delete(np.arange(40), 11) / 30
    np.testing.assert_allclose(timeline.time_s, expected, atol=1e-4)
    assert timeline.frame_index[10:12].tolist() == [[-1, -1, 5], [-1, -1, 6]]


def test_portrait_video_of_a_phone(session: Session, tmp_path: Path) -> None:
    videos = [write_video(tmp_path / f"cam{i}.mp4", n=5, size_px=(64, 192), turn_deg=90) for i in range(2)]
    give_rig(session, ["cam0", "cam1"])
    take = ingest_videos(session, videos, reporter=NullReporter())
    camera = take.manifest.cameras[0]
    assert (camera.size_px, camera.rotation_deg) == ((192, 64), 90)
    assert session.rig_for(take).names == ("cam0", "cam1")


def test_names_follow_the_rig_and_its_order(session: Session, tmp_path: Path) -> None:
    give_rig(session, ["cam01", "cam02", "cam10"])
    videos = [write_video(tmp_path / f"{n}.mp4", n=4) for n in ("GOPR_CAM10_take2", "gopr_cam1_take2")]
    reporter = RecordingReporter()
    take = ingest_videos(session, videos, reporter=reporter)
    assert take.cameras == ("cam01", "cam10")
    assert any("No video of cam02" in text for text, _ in reporter.notes)


@pytest.mark.parametrize(
    ("stems", "cameras", "found"),
    [
        (["take1_cam1", "take1_cam2"], ["1", "2"], ["1", "2"]),
        (["Front", "BACK left"], ["back_left", "front"], ["front", "back_left"]),
        (["hd_00_03", "hd_00_13"], ["00_03", "00_13"], ["00_03", "00_13"]),
        (["1", "2"], ["cam01", "cam02"], ["cam01", "cam02"]),
        (["cam1", "cam10", "cam100"], ["cam10", "cam1", "cam100"], ["cam1", "cam10", "cam100"]),
        (["Miqus_1_21432", "Miqus_2_21433"], ["21432", "21433"], ["21432", "21433"]),
    ],
)
def test_file_names_find_their_camera(stems: list[str], cameras: list[str], found: list[str]) -> None:
    assert cameras_of_files(stems, cameras) == found


@pytest.mark.parametrize(
    ("stems", "says"),
    [(["cam3"], "matches no camera"), (["cam1", "Cam01"], "both match"), (["cam1cam2"], "several cameras")],
)
def test_ambiguous_file_names_are_refused(stems: list[str], says: str) -> None:
    with pytest.raises(CoreError, match=says) as caught:
        cameras_of_files(stems, ["cam1", "cam2"])
    assert stems[-1] in caught.value.message


def test_sizes_that_differ_from_the_rig_are_refused_with_the_remedy(session: Session, tmp_path: Path) -> None:
    videos = [write_video(tmp_path / f"cam{i}.mp4", n=4) for i in range(2)]
    for size, says in (
        ((64, 192), "rotated by 90 degrees"),
        ((300, 64), "belongs to"),
        ((192, 90), "belongs to"),
    ):
        give_rig(session, ["cam0", "cam1"], size)
        with pytest.raises(CoreError, match=says) as caught:
            ingest_videos(session, videos, reporter=NullReporter())
        assert "cam0.mp4: the images are 192x64" in caught.value.message
    board = ingest_videos(session, videos, kind="board", reporter=NullReporter())
    assert any("cam1.mp4: the images are 192x64" in note for note in board.manifest.notes)


def test_the_same_image_in_another_resolution_is_taken_with_a_note(session: Session, tmp_path: Path) -> None:
    videos = [write_video(tmp_path / f"cam{i}.mp4", n=4) for i in range(2)]
    give_rig(session, ["cam0", "cam1"], (384, 128))
    take = ingest_videos(session, videos, reporter=NullReporter())
    assert any("cam0" in note and "scaled" in note for note in take.manifest.notes)
    rig = session.rig_for(take)
    assert [c.size_px for c in rig] == [(192, 64)] * 2
    assert rig["cam0"].K[0, 0] == 100


def test_truncated_video_is_used_up_to_its_end(session: Session, tmp_path: Path) -> None:
    whole = write_video(tmp_path / "cam0.mkv", n=40)
    cut = tmp_path / "cam1.mkv"
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.7)])
    take = ingest_videos(session, [whole, cut], reporter=NullReporter())
    n = take.manifest.cameras[1].n_frames
    assert 10 < n < 40
    assert shown(take, n - 2) == [n - 2, n - 2]


def test_one_camera_is_accepted_with_a_warning(session: Session, tmp_path: Path) -> None:
    take = ingest_videos(session, [write_video(tmp_path / "a.mp4", n=4)], reporter=NullReporter())
    assert take.manifest.n_frames == 4
    assert "3D needs at least two" in take.manifest.notes[0]


def refused(session: Session, videos: list[Path], **options: object) -> CoreError:
    with pytest.raises(CoreError) as caught:
        ingest_videos(session, videos, reporter=NullReporter(), **options)  # type: ignore[arg-type]
    assert session.take_names() == []
    assert not session.layout.incoming.exists()
    return caught.value


def test_unusable_input_is_refused_with_a_remedy(session: Session, tmp_path: Path) -> None:
    good, empty, text = write_video(tmp_path / "good.mp4", n=4), tmp_path / "empty.mp4", tmp_path / "text.mp4"
    empty.touch()
    text.write_text("no video" * 100)
    (tmp_path / "folder").mkdir()
    assert "empty.mp4" in refused(session, [good, empty]).message
    assert "text.mp4" in refused(session, [good, text]).message
    assert "twice" in refused(session, [good, tmp_path / "folder" / ".." / "good.mp4"]).message
    assert "no videos" in refused(session, [tmp_path / "folder"]).message
    assert "does not exist" in refused(session, [good, tmp_path / "away.mp4"]).message
    assert "No videos" in refused(session, []).message
    assert "2 camera names" in refused(session, [good], cameras=["a", "b"]).message
    shutil.copy(good, tmp_path / "folder" / "good.mp4")
    assert "Two videos" in refused(session, [good, tmp_path / "folder" / "good.mp4"]).message


@pytest.mark.parametrize(("n", "fps"), [(1, 25), (3, 0.5)])
def test_stills_are_a_take(session: Session, tmp_path: Path, n: int, fps: float) -> None:
    videos = [write_video(tmp_path / f"cam{i}.mp4", n=n, fps=fps) for i in range(2)]
    take = ingest_videos(session, videos, name="stills", reporter=NullReporter())
    assert take.manifest.n_frames == n
    timeline = take.timeline()
    np.testing.assert_allclose(timeline.time_s, np.arange(n) / fps)
    assert timeline.frame_index.tolist() == [[i, i] for i in range(n)]


def test_cancel_leaves_nothing(session: Session, tmp_path: Path) -> None:
    videos = [write_video(tmp_path / f"cam{i}.mp4", n=4) for i in range(2)]
    for after in range(1, 4):
        with pytest.raises(CancelledError):
            ingest_videos(session, videos, name="walk", reporter=RecordingReporter(cancel_after=after))
        assert session.take_names() == []
        assert not session.layout.incoming.exists()
    assert ingest_videos(session, videos, name="walk", reporter=NullReporter()).name == "walk"


def test_full_disk_is_reported_before_copying(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = write_video(tmp_path / "a.mp4", n=4)
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert "are free" in refused(session, [video]).message


def test_leftovers_of_a_crashed_import_are_cleared_and_running_imports_are_not(
    session: Session, tmp_path: Path
) -> None:
    left, running = reserve(session, "walk"), reserve(session, "other")
    left.manifest.touch()
    write_json(left.owner, {"process": {"pid": 999999999, "created": 0.0}, "run": "", "cameras": []})
    assert session.take_names() == []
    video = write_video(tmp_path / "a.mp4", n=4)
    with pytest.raises(CoreError, match="already has a take 'other'"):
        ingest_videos(session, [video], name="other", reporter=NullReporter())
    ingest_videos(session, [video], name="walk", reporter=NullReporter())
    assert session.take_names() == ["walk"] and not left.root.exists() and running.root.exists()
    discard(session, running)
    assert not session.layout.incoming.exists()


def test_clocks_that_contradict_a_common_start_are_reported(session: Session, tmp_path: Path) -> None:
    stamps = ("2024-05-01T10:00:00.000000Z", "2024-05-01T10:00:01.000000Z", "2024-05-01T10:00:07.000000Z")
    videos = [write_video(tmp_path / f"cam{i}.mp4", n=4, created=stamp) for i, stamp in enumerate(stamps)]
    assert ingest_videos(session, videos[:2], reporter=NullReporter()).manifest.notes == ()
    (note,) = ingest_videos(session, videos, reporter=NullReporter()).manifest.notes
    assert "cam2 began 7 s after cam0" in note


@pytest.mark.parametrize("seed", range(40))
def test_images_of_one_frame_stay_together_through_jitter_and_drops(seed: int) -> None:
    """Cameras on one clock: whatever is dropped, a row never mixes two ticks, and no image in between is lost."""
    rng = np.random.default_rng(seed)
    fps, n, cameras = float(rng.choice([25.0, 59.94, 120.0])), 200, {}
    for name in "abcd"[: rng.integers(2, 5)]:
        kept = np.flatnonzero(rng.random(n) > rng.choice([0.0, 0.05, 0.3]))
        cameras[name] = kept
    # Jitter below an eighth of the period: two cameras differ by less than a quarter, half of what is let through.
    times = {name: (kept + rng.uniform(-0.12, 0.12, len(kept))) / fps for name, kept in cameras.items()}
    timeline = align_times(times, dict.fromkeys(times, fps)).timeline
    ticks = np.stack(
        [
            np.where(timeline.frame_index[:, v] >= 0, k[timeline.frame_index[:, v]], -1)
            for v, k in enumerate(cameras.values())
        ]
    )
    for column in ticks.T:
        assert len(set(column[column >= 0])) == 1
    begin, end = sorted(k[0] for k in cameras.values())[1], sorted(k[-1] for k in cameras.values())[-2]
    expected = [((k >= begin) & (k <= end)).sum() for k in cameras.values()]
    np.testing.assert_array_equal((ticks >= 0).sum(1), expected)


def test_names_of_takes(session: Session, tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", n=4)
    assert [ingest_videos(session, [video], reporter=NullReporter()).name for _ in range(2)] == ["take_01", "take_02"]
    with pytest.raises(CoreError, match="already has a take 'take_02'"):
        ingest_videos(session, [video], name="take 02", reporter=NullReporter())


def test_a_folder_without_an_owner_blocks_no_name(session: Session) -> None:
    session.layout.incoming_take("walk").root.mkdir(parents=True)  # as an import left it that died at once
    folder = reserve(session, "walk")
    assert folder.owner.is_file() and [path.name for path in session.layout.takes.iterdir()] == [".incoming"]
    with pytest.raises(CoreError, match="is being created"):
        reserve(session, "walk")
