"""Second look at small people: real networks on the sample's images, reduced into larger ones."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from core.errors import CancelledError
from core.files import read_yaml, resource, sha256
from core.geometry import project
from core.pipelines.params import Pose2DParams, TriangulateParams
from core.pipelines.pose2d import run_pose2d
from core.pipelines.triangulate import run_triangulate
from core.pose2d.config import Pose2DConfig
from core.pose2d.crop_refiner import CropRefiner, JointPriors, crop_square
from core.progress import RecordingReporter
from core.reconstruction import second_look as look_module
from core.reconstruction.joint_priors import ExpectedPeople, ViewPriors
from core.rig_io.importers import read_rig
from core.session import Session
from core.session.store import Take, TakeCamera, TakeManifest
from core.session.timeline import Timeline
from core.session.video import VideoReader
from core.synthetic.body import Posture, body_joints
from core.types.arrays import U8
from core.types.camera import Camera
from core.types.pose2d import Pose2D
from core.types.pose3d import Pose3DSequence
from core.types.skeleton import COCO17

NAME = "movenet_multipose"
N = 5
SIZE, OFFSET = (1088, 1088), (500, 400)
SCALE = 0.25
CAMERAS = ("cam01", "cam02", "cam03", "cam04")
Run = Callable[..., RecordingReporter]


def far_video(camera: str, target: Path) -> None:
    """Write the first images of the sample, a quarter as large, into grey images."""
    with VideoReader(resource("sample", f"{camera}.mp4")) as video, av.open(str(target), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(60))
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.options = {"crf": "12", "preset": "ultrafast", "threads": "1"}
        for image in video.frames(0, N):
            canvas: U8 = np.full((SIZE[1], SIZE[0], 3), 128, np.uint8)
            height, width = (round(side * SCALE) for side in image.shape[:2])
            x, y = OFFSET
            canvas[y : y + height, x : x + width] = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(canvas, format="rgb24")))
        container.mux(stream.encode(None))


def far_camera(camera: Camera) -> Camera:
    """Return the camera whose images are those of `far_video`."""
    K = np.array(camera.K)
    K[:2, :2] *= SCALE
    K[:2, 2] = (K[:2, 2] + 0.5) * SCALE - 0.5 + OFFSET
    return dataclasses.replace(camera, K=K, size_px=SIZE)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session with a rig, and a take of small people whose first pass is done."""
    session = Session.create(tmp_path_factory.mktemp("far") / "session")
    root = session.layout.take("far").root
    root.mkdir(parents=True)
    for name in CAMERAS:
        far_video(name, root / f"{name}.mp4")
    time_s = np.arange(N) / 60
    session.write_take(
        TakeManifest(
            name="far",
            kind="motion",
            fps=60,
            n_frames=N,
            cameras=tuple(TakeCamera(name=n, file=f"{n}.mp4", size_px=SIZE, n_frames=N, fps=60) for n in CAMERAS),
        ),
        Timeline(
            cameras=CAMERAS,
            time_s=time_s,
            frame_index=np.repeat(np.arange(N)[:, None], len(CAMERAS), 1),
            frame_time_s=np.repeat(time_s[:, None], len(CAMERAS), 1),
        ),
    )
    params = Pose2DParams(take="far", pose2d=settings("off"))
    run_pose2d(session, params, session.new_run("pose2d"), RecordingReporter())
    rig = read_rig(resource("sample", "Calib.qca.txt"))
    dataclasses.replace(rig, cameras=tuple(far_camera(camera) for camera in rig)).save(session.layout.rig)
    return session.root


def settings(second_look: str) -> Pose2DConfig:
    return Pose2DConfig(long_side_px=576, provider="cpu", heatmaps=False, second_look=second_look)  # type: ignore[arg-type]


@pytest.fixture
def session(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setattr(look_module, "CHUNK", 2)
    shutil.copytree(template, tmp_path / "session")
    return Session.open(tmp_path / "session")


@pytest.fixture
def run(session: Session) -> Run:
    def estimated(second_look: str = "auto", reporter: RecordingReporter | None = None) -> RecordingReporter:
        reporter = reporter or RecordingReporter()
        params = Pose2DParams(take="far", pose2d=settings(second_look))
        result = run_pose2d(session, params, session.new_run("pose2d"), reporter)
        assert result["cached"], "the first pass never runs again"
        entry = session.take("far").poses2d_manifest(NAME).get("second_look")
        assert result["second_look"] == (entry and {k: v for k, v in entry.items() if k != "request"})
        return reporter

    return estimated


def refined(take: Take) -> dict[str, str]:
    return {name: sha256(path) for name, path in take.poses2d_files(NAME).items()}


def first_pass(take: Take) -> dict[str, str]:
    return {name: sha256(path) for name, path in take.poses2d_files(NAME, first_pass=True).items()}


def texts(reporter: RecordingReporter) -> str:
    return " ".join(text for text, _ in reporter.notes)


def hide(take: Take, camera: str) -> Pose2D:
    """Delete the first pass of a camera, and return it."""
    path = take.layout.poses2d_file(NAME, camera)
    before = Pose2D.load(path)
    dataclasses.replace(
        before,
        xy_px=np.full_like(before.xy_px, np.nan),
        score=np.zeros_like(before.score),
        box_px=np.full_like(before.box_px, np.nan),
    ).save(path)
    return before


@pytest.mark.slow
def test_small_people_get_a_second_look_that_keeps_the_first_pass(session: Session, run: Run) -> None:
    take = session.take("far")
    before = first_pass(take)
    assert refined(take) == before
    reporter = run()
    assert "second look at full resolution follows" in texts(reporter)
    assert first_pass(take) == before
    assert all(refined(take)[name] != before[name] for name in CAMERAS)
    entry = take.poses2d_manifest(NAME)["second_look"]
    assert entry["images"] == N * len(CAMERAS)
    assert entry["moved"] > 0.5 * 2 * 17 * N * len(CAMERAS)
    stages = [text for _, _, text in reporter.progresses if text.startswith("Second look")]
    assert stages[-1].endswith(f"{N * len(CAMERAS)} of {N * len(CAMERAS)} images")
    assert not take.layout.second_look_chunks(NAME).exists()
    assert reporter.progresses[-1][0] == reporter.progresses[-1][1]
    # The joints move by the error of the first pass, not by that of a wrong map between crop and image.
    moves = []
    for name, first in take.poses2d(NAME, first_pass=True).items():
        second = take.poses2d(NAME)[name]
        columns = first.xy_px.shape[1]
        both = (first.score > 0.4) & (second.score[:, :columns] > 0.4)
        moves.append((second.xy_px[:, :columns] - first.xy_px)[both])
    shift = np.concatenate(moves)
    assert len(shift) > 300
    np.testing.assert_allclose(np.median(shift, 0), 0, atol=0.6)
    assert np.median(np.linalg.norm(shift, axis=-1)) < 4


@pytest.mark.slow
def test_people_are_found_in_a_view_without_a_detection(session: Session, run: Run) -> None:
    take = session.take("far")
    before = hide(take, "cam02")
    run()
    found = take.poses2d(NAME)["cam02"]
    assert not take.poses2d(NAME, first_pass=True)["cam02"].present.any()
    assert (found.present.sum(1) >= 2).all()
    for t in range(N):
        for person, score in zip(before.xy_px[t], before.score[t], strict=True):
            if (score > 0.3).sum() < 12:
                continue
            distance = np.linalg.norm(found.xy_px[t] - person, axis=-1)[:, score > 0.3]
            assert np.nan_to_num(np.median(distance, -1), nan=np.inf).min() < 5, "people are about 150 px tall"
    boxes = found.box_px[found.present]
    joints = found.xy_px[found.present]
    assert (np.nanmin(joints, 1) >= boxes[:, :2] - 1e-3).all()
    assert (np.nanmax(joints, 1) <= boxes[:, 2:] + 1e-3).all()


@pytest.mark.slow
def test_a_second_look_is_reused_and_follows_the_rig_and_the_settings(session: Session, run: Run) -> None:
    take = session.take("far")
    run()
    files = refined(take)
    reporter = run()
    assert "is up to date" in texts(reporter)
    assert len(reporter.progresses) == 1
    rig = session.require_rig()
    moved = dataclasses.replace(rig["cam03"], t_mm=rig["cam03"].t_mm + 15.0)
    dataclasses.replace(rig, cameras=tuple(moved if c.name == "cam03" else c for c in rig)).save(session.layout.rig)
    reporter = RecordingReporter()
    run_triangulate(session, TriangulateParams(take="far"), session.new_run("triangulate"), reporter)
    assert any("since the second look" in text for text, level in reporter.notes if level == "warning")
    run()
    assert refined(take) != files
    reporter = RecordingReporter()
    run_triangulate(session, TriangulateParams(take="far"), session.new_run("triangulate"), reporter)
    assert "since the second look" not in texts(reporter)
    run("off")
    assert refined(take) == first_pass(take)
    assert not take.layout.second_look(NAME).exists()


class Stopping(RecordingReporter):
    """Reporter that cancels once three images have had their second look."""

    def cancelled(self) -> bool:
        return sum(text.startswith("Second look") for _, _, text in self.progresses) > 3


@pytest.mark.slow
def test_a_cancelled_second_look_resumes_and_gives_the_same_result(session: Session, run: Run) -> None:
    take = session.take("far")
    with pytest.raises(CancelledError):
        run("auto", Stopping())
    assert refined(take) == first_pass(take), "the first pass stays valid"
    assert list(take.layout.second_look_chunks(NAME).glob("*.npz"))
    reporter = run()
    resumed = next(text for _, _, text in reporter.progresses if text.startswith("Second look"))
    assert int(resumed.split(": ")[1].split(" of ")[0]) >= 2
    resumed = refined(take)
    shutil.rmtree(take.layout.second_look(NAME))
    run()
    assert refined(take) == resumed


@pytest.mark.slow
def test_without_a_rig_the_note_says_what_is_missing(session: Session, run: Run) -> None:
    session.layout.rig.unlink()
    reporter = run()
    assert "needs calibrated cameras" in texts(reporter)
    assert all(level == "info" for _, level in reporter.notes)
    reporter = run("on")
    assert any("needs calibrated cameras" in text for text, level in reporter.notes if level == "warning")
    assert read_yaml(session.take("far").layout.poses2d_manifest(NAME)).get("second_look") is None


def test_large_people_get_no_second_look(session: Session, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.pipelines.second_look.LARGE_PERSON_PX", 20.0)
    reporter = run()
    assert "second look" not in texts(reporter)


def test_a_prior_is_wide_where_nothing_was_triangulated_and_narrow_at_a_distance() -> None:
    camera = far_camera(read_rig(resource("sample", "Calib.qca.txt"))["cam01"])
    xyz = np.full((1, 2, 17, 3), np.nan)
    standing = [5, 6, 11, 12, 15, 16]
    body = body_joints(np.array(1700.0), Posture(), np.array([300.0, -200.0]), np.array(0.7))
    xyz[0, 0, standing] = body[standing]
    xyz[0, 1, :3] = body[:3]  # too few joints
    sequence = Pose3DSequence(
        skeleton=COCO17,
        time_s=np.zeros(1),
        xyz_mm=xyz,
        score=np.isfinite(xyz[..., 0]).astype(float),
        person_ids=(1, 2),
        covariance_mm2=np.broadcast_to(1e6 * np.eye(3), (1, 2, 17, 3, 3)),
    )
    people = ExpectedPeople.of(sequence)
    np.testing.assert_allclose(people.xyz_mm[0, 0], body, atol=1e-6)  # the template is fitted exactly
    assert not np.isfinite(people.xyz_mm[0, 1]).any()
    sigma = np.sqrt(people.covariance_mm2[0, 0, :, 0, 0])
    np.testing.assert_allclose(sigma[standing], 250.0)
    np.testing.assert_allclose(sigma[[0, 9]], 200.0)
    priors = ViewPriors.of(camera, people)
    np.testing.assert_allclose(priors.xy_px[0, 0], project(camera, body), atol=1e-6)
    depth = float((body[5] @ camera.R.T + camera.t_mm)[2])  # type: ignore[union-attr, operator]
    in_px = np.sqrt(np.linalg.eigvalsh(priors.covariance_px2[0, 0, 5])[1])
    np.testing.assert_allclose(in_px, 250.0 * camera.K[0, 0] / depth, rtol=0.1)


def test_a_crop_maps_joints_back_to_the_image() -> None:
    image = np.zeros((400, 600, 3), np.uint8)
    image[100:104, 200:204] = 255  # centre (201.5, 101.5)
    for box in ([150.0, 60.0, 260.0, 200.0], [-80.0, -300.0, 400.0, 250.0]):
        crop, to_crop = crop_square(image, np.array(box))
        weight = crop[..., 0].astype(float)
        rows, columns = np.mgrid[:256, :256]
        centre = np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()
        np.testing.assert_allclose(to_crop.inverse(centre), [201.5, 101.5], atol=0.2)


@pytest.mark.slow
def test_each_person_of_a_crop_is_estimated_at_its_own_prior() -> None:
    """Two people in one image: the prior decides whose joints are returned, and nobody is found without one."""
    with VideoReader(resource("sample", "cam01.mp4")) as video:
        image = video.read(0)
    refiner = CropRefiner("cpu", 1)
    nose, ankle = np.array([[487.0, 391.0], [796.0, 885.0]]), np.array([[443.0, 1120.0], [575.0, 1688.0]])
    xy_px = np.full((3, 17, 2), np.nan)
    for p in range(2):
        xy_px[p, 0], xy_px[p, 15] = nose[p], ankle[p]
    covariance = np.broadcast_to(60.0**2 * np.eye(2), (3, 17, 2, 2))
    joints, score = refiner.refine(image, JointPriors(xy_px=xy_px, covariance_px2=covariance))
    assert joints.shape == (3, 17, 2)
    assert ((score > 0) == np.isfinite(joints).all(-1)).all()
    assert not score[2].any()
    assert not score[:2, 5].any(), "joints without a prior stay missing"
    np.testing.assert_allclose(joints[:2, 0], nose, atol=45)
