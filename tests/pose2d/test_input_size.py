"""Input size of the 2D estimator, chosen from the people in a few images of real footage."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from core.errors import CancelledError
from core.files import read_yaml, resource, write_yaml
from core.pipelines import pose2d as verb_module
from core.pipelines.params import Pose2DParams
from core.pipelines.pose2d import run_pose2d
from core.pose2d.config import InputChoice, Pose2DConfig
from core.progress import RecordingReporter
from core.session import Session
from core.session.store import TakeCamera, TakeManifest
from core.session.timeline import Timeline
from core.session.video import VideoReader
from core.types.arrays import U8

NAME = "movenet_multipose"
N = 4
NEAR, FAR = (272, 480), (1920, 1088)
NEAR_OFFSET, FAR_OFFSET = (0, 0), (700, 300)
Run = Callable[..., tuple[dict[str, object], RecordingReporter]]


def video_of(camera: str, target: Path, size: tuple[int, int], offset: tuple[int, int]) -> None:
    """Write the first images of the sample, a quarter as large, into grey images of `size`."""
    with VideoReader(resource("sample", f"{camera}.mp4")) as video, av.open(str(target), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(30))
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.options = {"crf": "12", "preset": "ultrafast", "threads": "1"}
        for image in video.frames(0, N):
            canvas: U8 = np.full((size[1], size[0], 3), 128, np.uint8)
            x, y = offset
            canvas[y : y + NEAR[1], x : x + NEAR[0]] = cv2.resize(image, NEAR, interpolation=cv2.INTER_AREA)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(canvas, format="rgb24")))
        container.mux(stream.encode(None))


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """A session with a take in which the people fill the images, and one in which they are small."""
    session = Session.create(tmp_path_factory.mktemp("sizes") / "session")
    names = ("cam01", "cam03")
    for take, size, offset in (("near", NEAR, NEAR_OFFSET), ("far", FAR, FAR_OFFSET)):
        session.layout.take(take).root.mkdir(parents=True)
        for name in names:
            video_of(name, session.layout.take(take).root / f"{name}.mp4", size, offset)
        time_s = np.arange(N) / 30
        cameras = tuple(TakeCamera(name=n, file=f"{n}.mp4", size_px=size, n_frames=N, fps=30) for n in names)
        session.write_take(
            TakeManifest(name=take, kind="motion", fps=30, n_frames=N, cameras=cameras),
            Timeline(
                cameras=names,
                time_s=time_s,
                frame_index=np.repeat(np.arange(N)[:, None], 2, 1),
                frame_time_s=np.repeat(time_s[:, None], 2, 1),
            ),
        )
    return session


@pytest.fixture
def run(session: Session, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(verb_module, "CHUNK", 1)

    def estimated(take: str, reporter: RecordingReporter | None = None, **settings: object):
        reporter = reporter or RecordingReporter()
        config = Pose2DConfig(provider="cpu", heatmaps=False, **settings)  # type: ignore[arg-type]
        return run_pose2d(
            session, Pose2DParams(take=take, pose2d=config), session.new_run("pose2d"), reporter
        ), reporter

    return estimated


def choices(reporter: RecordingReporter) -> list[str]:
    return [text for text, _ in reporter.notes if text.startswith("Images are scaled to")]


@pytest.mark.slow
def test_small_people_get_the_large_input_and_others_the_default(session: Session, run: Run) -> None:
    near, near_notes = run("near")
    far, far_notes = run("far")
    assert (near["long_side_px"], far["long_side_px"]) == (512, 1024)
    assert "512 px" in choices(near_notes)[0]
    assert "1024 px, since" in choices(far_notes)[0]
    assert "4 times as long" in choices(far_notes)[0]
    sizes = {
        take: read_yaml(session.take(take).layout.poses2d_manifest(NAME))["input"]["person_px"]
        for take in ("near", "far")
    }
    assert sizes["near"] > 100
    assert sizes["far"] is None or sizes["far"] < 60
    # The people of the small pictures are found, and where they are.
    for camera, poses in session.take("far").poses2d(NAME).items():
        assert (poses.present.sum(1) >= 1).all(), camera
        x, y = np.nanmedian(poses.xy_px, (0, 1, 2))
        assert FAR_OFFSET[0] < x < FAR_OFFSET[0] + NEAR[0]
        assert FAR_OFFSET[1] < y < FAR_OFFSET[1] + NEAR[1]


@pytest.mark.slow
def test_the_choice_is_stored_and_reused_like_a_fixed_size(session: Session, run: Run) -> None:
    run("far", max_people=9)
    again, notes = run("far", max_people=9)
    assert again["cached"]
    assert choices(notes) == []
    fixed, _ = run("far", max_people=9, long_side_px=1024)
    assert fixed["cached"]
    other, _ = run("far", max_people=9, long_side_px=640)
    assert (other["cached"], other["long_side_px"]) == (False, 640)
    # Poses of the size that would be chosen are kept when the choice is made later.
    run("near", max_people=9, long_side_px=512)
    manifest = session.take("near").layout.poses2d_manifest(NAME)
    assert read_yaml(manifest)["input"] is None
    automatic, notes = run("near", max_people=9)
    assert automatic["cached"]
    assert len(choices(notes)) == 1
    assert read_yaml(manifest)["input"]["long_side_px"] == 512
    automatic, notes = run("near", max_people=9)
    assert automatic["cached"]
    assert choices(notes) == []


@pytest.mark.slow
def test_a_resumed_run_keeps_the_choice_without_another_probe(session: Session, run: Run) -> None:
    with pytest.raises(CancelledError):
        run("near", RecordingReporter(cancel_after=4), max_people=8)
    assert len(list(session.take("near").layout.poses2d_chunks(NAME).glob("*.npz"))) >= 1
    result, reporter = run("near", max_people=8)
    assert result["long_side_px"] == 512
    assert choices(reporter) == []
    assert int(reporter.progresses[0][2].split(": ")[1].split(" of ")[0]) >= 1


@pytest.mark.slow
def test_a_take_without_people_keeps_the_default(session: Session, run: Run, tmp_path: Path) -> None:
    result, reporter = run("near", person_threshold=0.999)
    assert result["long_side_px"] == 512
    assert "nobody was found" in choices(reporter)[0]


def test_the_message_names_the_choice_the_reason_and_the_cost() -> None:
    large = InputChoice(long_side_px=1024, person_px=43.2).message
    assert all(part in large for part in ("1024 px", "only 43 px tall", "4 times as long"))
    default = InputChoice(long_side_px=512, person_px=143.0).message
    assert all(part in default for part in ("512 px", "143 px tall", "1024 px would take about 4 times"))
    assert "nobody is found at 512" in InputChoice(long_side_px=1024, person_px=None).message


@pytest.mark.slow
def test_a_damaged_manifest_does_not_stop_the_choice(session: Session, run: Run) -> None:
    take = session.take("near")
    write_yaml(take.layout.poses2d_manifest(NAME), ["nonsense"])
    result, _ = run("near", max_people=7)
    assert result["long_side_px"] == 512
    assert take.layout.poses2d_file(NAME, "cam01").is_file()
