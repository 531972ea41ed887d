"""Verb `pose2d` on real images: results, caching, resuming after a cancel and after kill -9, invalidation."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from core.errors import CancelledError, CoreError
from core.files import read_yaml, resource, sha256
from core.pipelines import pose2d as verb_module
from core.pipelines.params import Pose2DParams
from core.pipelines.pose2d import run_pose2d
from core.pose2d.config import Pose2DConfig
from core.pose2d.heatmaps import HeatmapFile
from core.pose2d.runtime import cpu_threads
from core.progress import RecordingReporter
from core.session import Session
from core.session.store import Take, TakeCamera, TakeManifest
from core.session.timeline import Timeline
from core.session.video import VideoReader

SIZE = (272, 480)
N = 6
DROPPED = (4, 1)  # frame, camera
CONFIG = Pose2DConfig(long_side_px=320, provider="cpu")
NAME = "movenet_multipose"


def shortened(source: Path, target: Path) -> None:
    """Write the first images of a video at a quarter of its size."""
    with VideoReader(source) as video, av.open(str(target), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(30))
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.options = {"crf": "12", "preset": "ultrafast", "threads": "1"}
        for image in video.frames(0, N):
            small = cv2.resize(image, SIZE, interpolation=cv2.INTER_AREA)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(small, format="rgb24")))
        container.mux(stream.encode(None))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session with a take of two cameras and six frames; one image is dropped, and the second camera starts late."""
    root = tmp_path_factory.mktemp("label") / "session"
    session = Session.create(root)
    names = ("cam01", "cam03")
    (session.layout.take("two").root).mkdir(parents=True)
    for name in names:
        shortened(resource("sample", f"{name}.mp4"), session.layout.take("two").root / f"{name}.mp4")
    index = np.stack([np.arange(N), np.maximum(np.arange(N) - 1, 0)], -1)
    index[DROPPED] = -1
    time_s = np.arange(N) / 30
    camera_time = np.where(index >= 0, np.repeat(time_s[:, None], 2, 1), np.nan)
    session.write_take(
        TakeManifest(
            name="two",
            kind="motion",
            fps=30,
            n_frames=N,
            cameras=tuple(TakeCamera(name=n, file=f"{n}.mp4", size_px=SIZE, n_frames=N, fps=30) for n in names),
        ),
        Timeline(cameras=names, time_s=time_s, frame_index=index, frame_time_s=camera_time),
    )
    return root


@pytest.fixture
def session(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setattr(verb_module, "CHUNK", 3)
    shutil.copytree(template, tmp_path / "session")
    return Session.open(tmp_path / "session")


Run = Callable[..., tuple[dict[str, object], RecordingReporter]]


@pytest.fixture
def run(session: Session) -> Run:
    def labelled(reporter: RecordingReporter | None = None, **changes: object):
        reporter = reporter or RecordingReporter()
        values = {"take": "two", "pose2d": CONFIG, **changes}
        params = Pose2DParams(**values)  # type: ignore[arg-type]
        return run_pose2d(session, params, session.new_run("pose2d"), reporter), reporter

    return labelled


def images_done(reporter: RecordingReporter) -> list[int]:
    """Return the number of finished images in each progress text."""
    texts = [text for _, _, text in reporter.progresses if " of " in text]
    return [int(text.split(": ")[1].split(" of ")[0]) for text in texts]


def content(take: Take) -> dict[str, str]:
    """Return the hash of every stored result except the manifest."""
    return {p.name: sha256(p) for p in take.layout.poses2d(NAME).iterdir() if p.suffix in {".npz", ".h5"}}


def test_every_view_of_the_take_gets_2d_poses(session: Session, run: Run) -> None:
    result, reporter = run()
    take = session.take("two")
    assert take.estimators() == [NAME]
    poses = take.poses2d(NAME)
    assert list(poses) == ["cam01", "cam03"]
    for v, (name, each) in enumerate(poses.items()):
        assert (each.n_frames, each.camera, each.skeleton.name) == (N, name, "coco17")
        people = each.present.sum(1)
        images = take.timeline().frame_index[:, v] >= 0
        assert (people[images] >= 2).all()
        assert (people[~images] == 0).all()
        inside = np.nan_to_num(each.xy_px, nan=0.0)
        assert inside[..., 0].max() < SIZE[0] + 20
        assert inside[..., 1].max() < SIZE[1] + 20
        with HeatmapFile(take.layout.heatmaps_file(NAME, name)) as maps:
            assert maps.n_frames == N
            high = maps.read(np.arange(N)).max((1, 2, 3))
            assert (high[images] > 0.5).all()
            assert (high[~images] == 0).all()
    assert result["images"] == 2 * N - 1
    assert result["people_per_image"] == {name: pytest.approx(2, abs=1.01) for name in poses}
    assert not result["cached"]
    assert not take.layout.poses2d_chunks(NAME).exists()
    done = [d for d, _, _ in reporter.progresses]
    assert done == sorted(done)
    assert reporter.progresses[-1][:2] == (1, 1)
    assert images_done(reporter)[-1] == 2 * N - 1
    assert any("on the CPU" in text for text, _ in reporter.notes)
    manifest = read_yaml(take.layout.poses2d_manifest(NAME))
    assert manifest["request"]["models"]["pose"] == sha256(resource("weights", "movenet_multipose.onnx"))
    assert manifest["request"]["config"]["long_side_px"] == 320
    assert {"onnxruntime", "provider", "code_version", "licence"} <= set(manifest)


def test_the_image_of_each_frame_is_that_of_the_timeline(session: Session, run: Run) -> None:
    """The second camera shows image t - 1 at frame t, and image 0 twice."""
    run()
    poses = session.take("two").poses2d(NAME)["cam03"]
    people = poses.present.sum(1)
    assert people[0] == people[1]
    np.testing.assert_array_equal(poses.xy_px[0], poses.xy_px[1])
    assert not np.array_equal(poses.xy_px[1], poses.xy_px[2])


@pytest.mark.slow
def test_stored_results_are_not_computed_again(session: Session, run: Run) -> None:
    run()
    before = content(session.take("two"))
    result, reporter = run()
    assert result["cached"]
    assert len(reporter.progresses) == 1
    assert any("they are kept" in text for text, _ in reporter.notes)
    other_processor, _ = run(pose2d=Pose2DConfig(long_side_px=320, provider="auto"))
    assert other_processor["cached"]
    assert content(session.take("two")) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    "what", ["config", "video", "timeline", "missing poses", "missing heatmaps", "damaged manifest"]
)
def test_results_are_computed_again_if_a_dependency_has_changed(session: Session, run: Run, what: str) -> None:
    run()
    take = session.take("two")
    changes: dict[str, object] = {}
    if what == "config":
        changes["pose2d"] = Pose2DConfig(long_side_px=256, heatmaps=False, provider="cpu")
    elif what == "video":
        shutil.copy(take.video_path("cam01"), take.video_path("cam03"))
    elif what == "timeline":
        timeline = take.timeline()
        index = timeline.frame_index.copy()
        index[0] = 5
        session.write_take(
            take.manifest,
            Timeline(
                cameras=take.cameras,
                time_s=timeline.time_s,
                frame_index=index,
                frame_time_s=timeline.frame_time_s,
            ),
        )
    elif what == "missing poses":
        take.layout.poses2d_file(NAME, "cam03").unlink()
    elif what == "missing heatmaps":
        take.layout.heatmaps_file(NAME, "cam01").unlink()
    else:
        take.layout.poses2d_manifest(NAME).write_text("")
    result, _ = run(**changes)
    assert not result["cached"]
    assert run(**changes)[0]["cached"]
    assert take.layout.heatmaps_file(NAME, "cam01").exists() == (what != "config")


@pytest.mark.slow
def test_a_cancelled_run_resumes_and_gives_the_same_result(session: Session, run: Run) -> None:
    with pytest.raises(CancelledError):
        run(RecordingReporter(cancel_after=9))
    take = session.take("two")
    assert take.estimators() == []
    chunks = {p: p.stat().st_mtime_ns for p in take.layout.poses2d_chunks(NAME).glob("*.npz")}
    assert chunks
    _, reporter = run()
    assert images_done(reporter)[0] >= 3  # what was finished was not done again
    resumed = content(take)
    shutil.rmtree(take.layout.poses2d(NAME))
    run()
    assert content(take) == resumed


@pytest.mark.slow
def test_old_results_stay_until_the_new_ones_are_complete(session: Session, run: Run) -> None:
    run()
    take = session.take("two")
    before = content(take)
    with pytest.raises(CancelledError):
        run(RecordingReporter(cancel_after=9), pose2d=Pose2DConfig(long_side_px=256, provider="cpu"))
    assert take.estimators() == [NAME]
    assert content(take) == before


@pytest.mark.slow
def test_chunks_of_other_settings_are_not_used(session: Session, run: Run) -> None:
    with pytest.raises(CancelledError):
        run(RecordingReporter(cancel_after=9), pose2d=Pose2DConfig(long_side_px=256, provider="cpu"))
    _, reporter = run()
    assert reporter.progresses[0][0] <= 1
    first = content(session.take("two"))
    shutil.rmtree(session.take("two").layout.poses2d(NAME))
    run()
    assert content(session.take("two")) == first


KILLED = """
import sys
from pathlib import Path
from core.pipelines import pose2d
from core.pipelines.params import Pose2DParams
from core.pose2d.config import Pose2DConfig
from core.progress import NullReporter
from core.session import Session
pose2d.CHUNK = 1
session = Session.open(Path(sys.argv[1]))
params = Pose2DParams(take="two", pose2d=Pose2DConfig(long_side_px=320, provider="cpu"))
pose2d.run_pose2d(session, params, session.new_run("pose2d"), NullReporter())
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kill -9 is a POSIX thing")
def test_a_killed_run_resumes_where_it_stopped(
    session: Session, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(verb_module, "CHUNK", 1)
    take = session.take("two")
    root = Path(verb_module.__file__).parents[2]
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(session.root)], cwd=root, env={**os.environ})
    until = time.monotonic() + 60
    chunks = take.layout.poses2d_chunks(NAME)
    while len(list(chunks.glob("[!.]*.npz"))) < 4 and process.poll() is None and time.monotonic() < until:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {p.name: sha256(p) for p in chunks.glob("[!.]*.npz")}
    assert 4 <= len(kept) < 2 * N
    assert take.estimators() == []
    _, reporter = run()
    assert images_done(reporter)[0] >= 1
    assert len(set(images_done(reporter))) <= 2 * N
    resumed = content(take)
    shutil.rmtree(take.layout.poses2d(NAME))
    run()
    assert content(take) == resumed


@pytest.mark.slow
def test_a_local_model_file_replaces_a_download_if_it_fits(session: Session, run: Run, tmp_path: Path) -> None:
    copy = tmp_path / "mine.onnx"
    shutil.copy(resource("weights", "movenet_multipose.onnx"), copy)
    run(model_file=str(copy))
    assert run()[0]["cached"]  # the same bytes: the same result
    (tmp_path / "bad.onnx").write_bytes(b"nonsense")
    with pytest.raises(CoreError, match="not a valid ONNX model"):
        run(model_file=str(tmp_path / "bad.onnx"))
    assert session.take("two").estimators() == [NAME]


def test_a_missing_model_is_not_downloaded_without_consent(
    session: Session, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(CoreError, match="The pose model of RTMO-m must be downloaded"):
        run(pose2d=Pose2DConfig(estimator="rtmo_m"))


def test_a_missing_video_is_an_error(session: Session, run: Run) -> None:
    session.take("two").video_path("cam03").unlink()
    with pytest.raises(CoreError, match=r"cam03\.mp4 is missing"):
        run()


def test_images_without_people_are_a_warning(session: Session, run: Run) -> None:
    _, reporter = run(pose2d=Pose2DConfig(long_side_px=256, person_threshold=0.999, provider="cpu"))
    assert any("No people were found in cam01, cam03" in text for text, level in reporter.notes if level == "warning")
    poses = session.take("two").poses2d(NAME)["cam01"]
    assert poses.xy_px.shape == (N, 0, 17, 2)


def test_the_number_of_threads_is_that_of_the_cores_of_this_process() -> None:
    assert 1 <= cpu_threads() <= (os.cpu_count() or 1)
