"""Cameras that are mounted on their side: turned upright for the estimator, with joints where they were filmed."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from core.files import read_yaml, resource
from core.pipelines.params import Pose2DParams
from core.pipelines.pose2d import run_pose2d
from core.pose2d.config import Pose2DConfig
from core.pose2d.estimator import Detections, Heatmaps
from core.pose2d.pixelmap import PixelMap
from core.pose2d.quarter_turns import QuarterTurns
from core.progress import RecordingReporter
from core.session import Session
from core.session.store import TakeCamera, TakeManifest
from core.session.timeline import Timeline
from core.session.video import VideoReader

NAME = "movenet_multipose"
N = 4
TURNED = {"left": 90, "over": 180, "right": 270}  # counter-clockwise turns of the images: what brings them back


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_points_and_heatmaps_follow_the_image(degrees: int) -> None:
    image = np.zeros((5, 8, 3), np.uint8)
    image[1, 6] = 255
    turns = QuarterTurns(degrees, (8, 5))
    turned = turns.image(image)
    y, x = np.argwhere(turned[..., 0])[0]
    assert turns.points(np.array([6.0, 1.0])).tolist() == [x, y]
    assert (turns.inverse.image(turned) == image).all()
    assert turns.inverse.points(np.array([x, y])).tolist() == [6, 1]
    covariance = turns.covariances(np.diag([4.0, 1.0]))
    assert np.allclose(covariance, np.diag([4.0, 1.0] if degrees % 180 == 0 else [1.0, 4.0]))

    # A heatmap of the turned image, at half its size and shifted, with a peak at the bright pixel.
    grid = PixelMap((0.5, 0.5), (0.25, 0.75))
    values = np.zeros((1, 6, 7), np.float32)
    at = grid.forward(np.array([[x, y]], float))[0]
    values[0, round(at[1]), round(at[0])] = 1
    people = Detections(
        xy_px=np.array([[[x, y]]], np.float32),
        score=np.ones((1, 1), np.float32),
        box_px=np.array([[x - 0.5, y - 0.5, x + 0.5, y + 0.5]], np.float32),
        person_score=np.ones(1, np.float32),
        heatmaps=Heatmaps(values=values, grid=grid),
    )
    back = turns.inverse.detections(people)
    assert back.xy_px.tolist() == [[[6, 1]]]
    assert back.box_px.tolist() == [[5.5, 0.5, 6.5, 1.5]]
    assert back.heatmaps is not None
    row, column = np.argwhere(back.heatmaps.values[0])[0]
    assert np.abs(back.heatmaps.grid.forward(np.array([6.0, 1.0])) - [column, row]).max() <= 0.5


def write_turned(target: Path, degrees: int) -> tuple[int, int]:
    """Write images of the sample as a camera films them that must be turned clockwise to be upright."""
    with VideoReader(resource("sample", "cam01.mp4")) as video, av.open(str(target), "w") as container:
        images = [np.ascontiguousarray(np.rot90(image, degrees // 90)) for image in video.frames(0, N)]
        stream = container.add_stream("libx264", rate=Fraction(30))
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "10", "preset": "ultrafast", "threads": "1"}
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return images[0].shape[1], images[0].shape[0]


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    session = Session.create(tmp_path_factory.mktemp("turned") / "session")
    root = session.layout.take("take").root
    root.mkdir(parents=True)
    cameras = []
    for name, degrees in {"upright": 0, **TURNED}.items():
        size = write_turned(root / f"{name}.mp4", degrees)
        cameras.append(TakeCamera(name=name, file=f"{name}.mp4", size_px=size, n_frames=N, fps=30))
    time_s = np.arange(N) / 30
    session.write_take(
        TakeManifest(name="take", kind="motion", fps=30, n_frames=N, cameras=tuple(cameras)),
        Timeline(
            cameras=tuple(c.name for c in cameras),
            time_s=time_s,
            frame_index=np.repeat(np.arange(N)[:, None], len(cameras), 1),
            frame_time_s=np.repeat(time_s[:, None], len(cameras), 1),
        ),
    )
    return session


@pytest.mark.slow
def test_people_of_turned_cameras_are_found_where_they_were_filmed(session: Session) -> None:
    reporter = RecordingReporter()
    config = Pose2DConfig(provider="cpu", long_side_px=512)
    run_pose2d(session, Pose2DParams(take="take", pose2d=config), session.new_run("pose2d"), reporter)
    manifest = read_yaml(session.take("take").layout.poses2d_manifest(NAME))
    assert manifest["request"]["turned_deg"] == TURNED
    said = [text for text, _ in reporter.notes if "images are rotated by" in text]
    assert len(said) == 3
    assert "Camera over is upside down" in " ".join(said)
    take = session.take("take")
    poses = take.poses2d(NAME)
    reference = poses["upright"]
    for name, degrees in TURNED.items():
        turns = QuarterTurns(degrees, take.camera(name).size_px)
        for t in range(N):
            both = reference.present[t].sum()
            assert poses[name].present[t].sum() == both
            apart = np.abs(turns.points(poses[name].xy_px[t, :both]) - reference.xy_px[t, :both])
            assert np.nanmedian(apart) < 3  # a second compression lies between them
    again = run_pose2d(session, Pose2DParams(take="take", pose2d=config), session.new_run("pose2d"), reporter)
    assert again["cached"]


@pytest.mark.slow
def test_images_stay_as_they_are_on_request(session: Session) -> None:
    config = Pose2DConfig(provider="cpu", long_side_px=512, upright="off", heatmaps=False)
    run_pose2d(session, Pose2DParams(take="take", pose2d=config), session.new_run("pose2d"), RecordingReporter())
    poses = session.take("take").poses2d(NAME)
    assert poses["over"].score.sum() < 0.8 * poses["upright"].score.sum()
