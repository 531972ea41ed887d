"""Trim and split of takes: no image is encoded again, and none shifts."""

from __future__ import annotations

import dataclasses
import re
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from videos import number_in, write_video

from core.errors import CoreError
from core.files import sha256, write_yaml
from core.pipelines.params import CutTakeParams
from core.pipelines.verbs import verb
from core.pose2d.heatmaps import HeatmapFile, compress_heatmaps, write_heatmaps
from core.pose2d.pixelmap import PixelMap
from core.progress import NullReporter, RecordingReporter
from core.session import Session, Take
from core.session.align import align_poses2d
from core.session.clocks import DroppedImages
from core.session.ingest import ingest_videos
from core.session.store import TakeMarker
from core.session.video import VideoReader
from core.synthetic.rigs import ring_rig
from core.types.pose2d import Pose2D
from core.types.skeleton import COCO17

FPS = 20.0
KEPT = [n for n in range(60) if n not in (30, 31)]
"""Frames of which cam02, which starts at frame 5 and drops two images, could have one."""


@pytest.fixture
def session(tmp_path: Path) -> Session:
    """Provide a take of three cameras: one starts late and has a gap, another stops early, clocks are wrong."""
    frames = {"cam01": list(range(60)), "cam02": KEPT[5:], "cam03": list(range(12))}
    rows = ["cam_id,frame_index,frame_time"]
    for name, kept in frames.items():
        write_video(tmp_path / "in" / f"{name}.mp4", n=len(kept), fps=FPS)
        rows += [f"{name},{i},{frame / FPS}" for i, frame in enumerate(kept)]
    (tmp_path / "in" / "timestamps.csv").write_text("\n".join(rows) + "\n")
    session = Session.create(tmp_path / "session")
    take = ingest_videos(session, [tmp_path / "in"], name="walk", reporter=NullReporter())
    wrong = {"time_offset_s": 0.03, "time_drift_ppm": 400.0, "drops": (DroppedImages(image=12, count=1),)}
    cameras = [dataclasses.replace(c, **wrong) if c.name == "cam02" else c for c in take.manifest.cameras]
    markers = tuple(TakeMarker(time_s=frame / FPS, frame=frame, text=str(frame)) for frame in (4, 25, 45))
    session.write_take(dataclasses.replace(take.manifest, cameras=tuple(cameras), markers=markers), take.timeline())
    return session


def cut(session: Session, **settings: object) -> list[Take]:
    result = verb("cut-take")(session, {"take": "walk", **settings}, session.new_run("cut-take"), NullReporter())
    return [session.take(part["take"]) for part in result["parts"]]


def shown(take: Take, frame: int) -> dict[str, int]:
    """Return the numbers that the images of a frame show."""
    row = dict(zip(take.cameras, take.timeline().frame_index[frame].tolist(), strict=True))
    return {name: number_in(VideoReader(take.video_path(name)).read(i)) for name, i in row.items() if i >= 0}


def store_poses2d(take: Take) -> None:
    """Store 2D poses whose joints lie at the number of the frame, with heatmaps and a second look."""
    layout, n = take.layout, take.manifest.n_frames
    index = take.timeline().frame_index
    for v, name in enumerate(take.cameras):
        seen = (index[:, v] >= 0)[:, None, None, None]
        xy = np.where(seen, np.arange(n, dtype=float)[:, None, None, None], np.nan) * np.ones((1, 1, 17, 2))
        box = np.where(seen[..., 0], [[[0.0, 0.0, 100.0, 200.0]]], np.nan)
        score = np.isfinite(xy).all(-1).astype(float)
        poses = Pose2D(camera=name, skeleton=COCO17, xy_px=xy, score=score, box_px=box)
        poses.save(layout.poses2d_file("made", name))
        dataclasses.replace(poses, xy_px=xy + 0.5).save(layout.second_look_file("made", name))
        write_heatmaps(
            layout.heatmaps_file("made", name),
            ((t, compress_heatmaps(np.full((17, 4, 5), t / 60, np.float32))) for t in np.flatnonzero(index[:, v] >= 0)),
            n_frames=n,
            shape=(4, 5),
            grid=PixelMap((0.1, 0.1), (0.0, 0.0)),
            joints=COCO17,
        )
    request = {"timeline": sha256(layout.timestamps), "videos": dict.fromkeys(take.cameras, 0), "turned_deg": {}}
    second = {"request": {"rig": "", "time_offset_s": take.clock_errors, "first_pass": request}}
    manifest = {"heatmaps": True, "people_per_image": {}, "request": request, "second_look": second}
    write_yaml(layout.poses2d_manifest("made"), manifest)


def test_a_part_shows_the_same_images_at_the_same_times(session: Session) -> None:
    whole = session.take("walk")
    before = {path: path.stat().st_mtime_ns for path in whole.layout.root.rglob("*") if path.is_file()}
    (part,) = cut(session, from_s=0.4, to_s=2.2, name="part")
    assert part.manifest.n_frames == 36
    timeline, of_whole = part.timeline(), whole.timeline()
    for k in (0, 3, 4, 21, 22, 23, 24, 35):  # before and after the end of cam03, in and around the gap of cam02
        assert shown(part, k) == shown(whole, 8 + k), k
    assert timeline.time_s[0] == 0
    np.testing.assert_allclose(timeline.time_s, of_whole.time_s[8:44] - 0.4, atol=1e-9)
    # Times of exposure, clocks considered, are those of the whole take.
    np.testing.assert_allclose(timeline.frame_time_s, of_whole.frame_time_s[8:44] - 0.4, atol=2e-9)
    assert [(m.frame, m.text) for m in part.manifest.markers] == [(17, "25")]
    assert part.manifest.source == "frames 8 to 43 of walk"
    assert part.video_path("cam01").samefile(whole.video_path("cam01"))
    after = {path: path.stat().st_mtime_ns for path in whole.layout.root.rglob("*") if path.is_file()}
    assert {path: after[path] for path in before} == before


def test_poses_of_images_stay_with_their_images(session: Session) -> None:
    whole = session.take("walk")
    store_poses2d(whole)
    (part,) = cut(session, from_s=0.4, to_s=2.2)
    assert part.name == "walk_02"
    for first_pass in (True, False):
        kept, of_whole = (take.poses2d("made", first_pass=first_pass) for take in (part, whole))
        for name in part.cameras:
            np.testing.assert_array_equal(kept[name].xy_px, of_whole[name].xy_px[8:44])
    rig = ring_rig(3)
    aligned = align_poses2d(part.poses2d("made"), part.timeline(), rig)["cam02"].xy_px
    of_whole = align_poses2d(whole.poses2d("made"), whole.timeline(), rig)["cam02"].xy_px[8:44]
    assert np.nanmax(np.abs(of_whole - whole.poses2d("made")["cam02"].xy_px[8:44])) > 0.5  # clocks are compensated
    np.testing.assert_allclose(aligned[2:-2], of_whole[2:-2], atol=1e-5)
    with HeatmapFile(part.layout.heatmaps_file("made", "cam02")) as maps:
        values = maps.read([0, 22, 30])[:, 0, 0, 0]
    np.testing.assert_allclose(values, [8 / 60, 0, 38 / 60], atol=0.003)
    request = part.poses2d_manifest("made")["request"]
    assert request["timeline"] == sha256(part.layout.timestamps)
    second_look = part.poses2d_manifest("made")["second_look"]["request"]
    assert second_look == {"rig": "", "time_offset_s": part.clock_errors, "first_pass": request}


def test_a_split_loses_no_frame_and_leaves_out_cameras_without_images(session: Session) -> None:
    reporter = RecordingReporter()
    session.take("walk").layout.sync.write_text("method: given\n")
    params = CutTakeParams(take="walk", at_s=1.0)
    result = verb("cut-take")(session, dataclasses.asdict(params), session.new_run("cut-take"), reporter)
    first, second = (session.take(part["take"]) for part in result["parts"])
    assert (first.name, second.name) == ("walk_a", "walk_b")
    assert (first.manifest.n_frames, second.manifest.n_frames) == (20, 40)
    assert second.cameras == ("cam01", "cam02")
    assert ("cam03 has no image in walk_b and is omitted.", "warning") in reporter.notes
    assert any("certificate covers all of walk" in text for text, _ in reporter.notes)
    assert shown(second, 0) == {name: n for name, n in shown(session.take("walk"), 20).items() if name != "cam03"}
    assert not session.layout.incoming.exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"from_s": 2.0, "to_s": 1.0}, r"walk has no frames from 2 s to 1 s\. It lasts 3\.000 s"),
        ({"from_s": 5.0}, "no frames from 5 s to its end"),
        ({"to_s": 9.0}, "no frames from 0 s to 9 s"),
        ({"from_s": -1.0}, "no frames from -1 s"),
        ({"at_s": 0.0}, "no frame before 0 s"),
        ({"at_s": 3.5}, "no frames from 3.5 s"),
        ({"at_s": 1.0, "to_s": 2.0}, "exclude each other"),
        ({"to_s": 1.0, "name": "Walk"}, "already has a take"),
    ],
)
def test_parts_that_cannot_be_are_refused(session: Session, settings: dict[str, object], message: str) -> None:
    with pytest.raises(CoreError) as refused:
        cut(session, **settings)
    assert re.search(message, str(refused.value))
    assert session.take_names() == ["walk"]
    assert not session.layout.incoming.exists()


def test_a_missing_video_leaves_nothing(session: Session) -> None:
    session.take("walk").video_path("cam02").unlink()
    with pytest.raises(CoreError, match="is missing"):
        cut(session, to_s=1.0)
    assert session.take_names() == ["walk"]
