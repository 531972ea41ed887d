"""Every heatmap source of the networks: 2D joints, stored heatmaps of the estimator, own backbone."""

from __future__ import annotations

import dataclasses
import shutil
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from core.datasets.heatmaps import StoredHeatmaps
from core.errors import CoreError
from core.files import resource
from core.geometry.capture_volume import capture_volume
from core.models.config import BackboneConfig
from core.models.networks import Networks
from core.pipelines.params import Pose2DParams, TrainParams
from core.pipelines.pose2d import run_pose2d
from core.pipelines.train import run_train
from core.pose2d.config import Pose2DConfig
from core.pose2d.heatmaps import HeatmapFile, open_heatmaps, write_heatmaps
from core.progress import NullReporter, RecordingReporter
from core.reconstruction.predictor import Predictor
from core.reconstruction.triangulated import Triangulator
from core.session import BASELINE, RunLayout, Session, Take
from core.session.store import TakeCamera, TakeManifest
from core.session.timeline import Timeline
from core.session.video import VideoReader
from core.tracking.config import TrackingConfig
from core.training.presets import preset
from core.training.synthetic import root_relative_joints
from core.types.camera import CameraRig
from core.types.pose3d import Pose3DSequence

pytestmark = pytest.mark.slow


N, SIZE, NAME = 6, (544, 960), "movenet_multipose"
EVERYBODY = TrackingConfig(confirm_s=0.06)


def shortened(source: Path, target: Path) -> None:
    """Write the first images of a video at half size."""
    with VideoReader(source) as video, av.open(str(target), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(30))
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.options = {"crf": "12", "preset": "ultrafast", "threads": "1"}
        for image in video.frames(0, N):
            small = cv2.resize(image, SIZE, interpolation=cv2.INTER_AREA)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(small, format="rgb24")))
        container.mux(stream.encode(None))


@pytest.fixture(scope="module")
def session(sample_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Session:
    """The first frames of the sample, with 2D poses and heatmaps."""
    root = tmp_path_factory.mktemp("sources") / "session"
    session = Session.create(root)
    shutil.copy(sample_root / "rig.toml", session.layout.rig)
    names = session.require_rig().names
    session.layout.take("two").root.mkdir(parents=True)
    for name in names:
        shortened(resource("sample", f"{name}.mp4"), session.layout.take("two").root / f"{name}.mp4")
    cameras = tuple(TakeCamera(name=n, file=f"{n}.mp4", size_px=SIZE, n_frames=N, fps=30) for n in names)
    index, time_s = np.repeat(np.arange(N)[:, None], len(names), 1), np.arange(N) / 30
    take = session.write_take(
        TakeManifest(name="two", kind="motion", fps=30, n_frames=N, cameras=cameras),
        Timeline(cameras=names, time_s=time_s, frame_index=index, frame_time_s=index / 30),
    )
    params = Pose2DParams(take="two", pose2d=Pose2DConfig(provider="cpu"))
    run_pose2d(session, params, session.new_run("pose2d"), NullReporter())
    baseline = Triangulator(tracking=EVERYBODY).reconstruct(
        session.rig_for(take), take.poses2d(NAME), time_s, NullReporter()
    )
    baseline.save(take.layout.poses3d(BASELINE))
    return session


@pytest.fixture(scope="module")
def take(session: Session) -> Take:
    return session.take("two")


@pytest.fixture(scope="module")
def rig(session: Session, take: Take) -> CameraRig:
    return session.rig_for(take)


@pytest.fixture(scope="module")
def baseline(take: Take) -> Pose3DSequence:
    return take.poses3d(BASELINE)


def untrained(rig: CameraRig, baseline: Pose3DSequence, source: str) -> Predictor:
    """Untrained networks with small volumes."""
    model = preset("quick").model
    config = dataclasses.replace(
        model,
        heatmap=dataclasses.replace(model.heatmap, source=source),
        pose=dataclasses.replace(model.pose, voxels=24),
    )
    torch.manual_seed(0)
    networks = Networks(config)
    bodies = root_relative_joints(500, np.random.default_rng(0), networks.skeleton)
    networks.pose.prior.fit(torch.tensor(bodies, dtype=torch.float32))
    volume = capture_volume(rig, spacing_mm=config.root.spacing_mm, around_mm=baseline.xyz_mm.reshape(-1, 3))
    return Predictor(networks, volume, torch.device("cpu"), "untrained")


@pytest.mark.parametrize("source", ["joints", "estimator"])
def test_untrained_networks_find_both_people(source: str, take: Take, rig: CameraRig, baseline: Pose3DSequence) -> None:
    predictor = untrained(rig, baseline, source)
    found = predictor.reconstruct_take(take, rig, NAME, NullReporter(), tracking=EVERYBODY)
    assert (found.present.sum(1) >= 2).all()
    # The same two people, by their ankles.
    own_mm, baseline_mm = (
        sequence.xyz_mm[:, :, sequence.skeleton.indices("left_ankle", "right_ankle")].mean(2)
        for sequence in (found, baseline)
    )
    baseline_mm = baseline_mm[:, :2]
    distance_mm = np.linalg.norm(own_mm[:, :, None] - baseline_mm[:, None], axis=-1)
    assert (np.nanmedian(distance_mm, 0).min(0) < 40).all()


def test_heatmaps_of_an_excluded_camera_are_not_read(take: Take, rig: CameraRig, baseline: Pose3DSequence) -> None:
    predictor = untrained(rig, baseline, "estimator")
    frames, out = np.array([1, 3]), rig.names[1]
    poses2d, time_s = take.poses2d(NAME), take.timeline().time_s
    with open_heatmaps(take, NAME, rig) as readers:
        blind = StoredHeatmaps(
            [None if name == out else reader for name, reader in zip(rig.names, readers, strict=True)],
            predictor.networks.skeleton,
        )
        expected = predictor.reconstruct(
            rig, poses2d, time_s, NullReporter(), exclude_camera=out, frames=frames, tracking=EVERYBODY, maps=blind
        )
    found = predictor.reconstruct_take(
        take, rig, NAME, NullReporter(), exclude_camera=out, frames=frames, tracking=EVERYBODY
    )
    assert found.present.any() and np.array_equal(found.xyz_mm, expected.xyz_mm, equal_nan=True)
    with pytest.raises(CoreError, match="read heatmaps"):
        predictor.reconstruct(rig, poses2d, time_s, NullReporter())


def test_heatmaps_are_read_at_the_time_offset_of_the_camera(take: Take, rig: CameraRig) -> None:
    step_s = float(np.diff(take.timeline().time_s).mean())
    late = dataclasses.replace(
        rig, cameras=tuple(c.replace(time_offset_s=-step_s * (v == 1)) for v, c in enumerate(rig))
    )
    frames = np.array([0, 3, 1])
    with open_heatmaps(take, NAME, rig) as readers, open_heatmaps(take, NAME, late) as moved:
        plain, shown = ([r.read(frames) for r in some if r is not None] for some in (readers, moved))
        before = readers[1].read(np.array([2, 0])) if readers[1] is not None else None
    assert all(np.array_equal(plain[v], shown[v]) for v in (0, 2))
    assert before is not None and np.array_equal(shown[1][1:], before) and before.any()
    assert not shown[1][0].any()  # before the take's start


def test_training_reads_stored_heatmaps_and_reports_missing_ones(
    session: Session, take: Take, rig: CameraRig, tmp_path: Path
) -> None:
    quick = preset("quick")
    model = dataclasses.replace(
        quick.model,
        heatmap=dataclasses.replace(quick.model.heatmap, source="estimator", long_side_px=64, sigma_px=1.0),
        pose=dataclasses.replace(quick.model.pose, voxels=16),
    )
    config = dataclasses.replace(
        quick,
        model=model,
        device="cpu",
        split=dataclasses.replace(quick.split, blocks=1, guard_s=0.0),
        root=dataclasses.replace(quick.root, steps=1, batch=1),
        pose_synthetic=dataclasses.replace(quick.pose_synthetic, steps=0),
        ray_refiner=dataclasses.replace(quick.ray_refiner, steps=0),
        pose=dataclasses.replace(quick.pose, steps=1, batch=1),
        measure_frames=1,
    )
    run = RunLayout(tmp_path / "run")
    run.root.mkdir()
    result = run_train(session, TrainParams(takes=("two",), training=config), run, NullReporter())
    assert result["steps"] == 2 and result["held_out_px"] > 0
    assert Predictor.load(run, "cpu").networks.config.heatmap.source == "estimator"
    file = take.layout.heatmaps_file(NAME, take.cameras[2])
    away = file.rename(tmp_path / file.name)
    try:
        with pytest.raises(CoreError, match=f"no heatmaps of {NAME} for {take.cameras[2]}") as refused:
            Predictor.load(run, "cpu").reconstruct_take(take, session.rig_for(take), NAME, NullReporter())
        assert "heatmap.source=joints" in refused.value.hint
        with HeatmapFile(away) as reader:
            write_heatmaps(file, [], n_frames=N - 1, shape=reader.shape, grid=reader.grid, joints=reader.skeleton)
        with pytest.raises(CoreError, match=f"{N - 1} frames"), open_heatmaps(take, NAME, rig):
            pass
    finally:
        away.replace(file)


def test_a_backbone_reads_the_videos_in_training_and_inference(
    session: Session, take: Take, rig: CameraRig, tmp_path: Path
) -> None:
    quick = preset("quick")
    model = dataclasses.replace(
        quick.model,
        heatmap=dataclasses.replace(quick.model.heatmap, source="backbone", long_side_px=40, sigma_px=1.0),
        backbone=BackboneConfig(depth=18, width=0.125, deconv_channels=8, stride=2),
        root=dataclasses.replace(quick.model.root, threshold=-1.0),
        pose=dataclasses.replace(quick.model.pose, voxels=16, gate=False),
    )
    config = dataclasses.replace(
        quick,
        model=model,
        device="cpu",
        split=dataclasses.replace(quick.split, blocks=1, guard_s=0.0, train_on_camera=False),
        backbone=dataclasses.replace(quick.backbone, steps=1),
        root=dataclasses.replace(quick.root, steps=1, batch=1),
        pose_synthetic=dataclasses.replace(quick.pose_synthetic, steps=0),
        ray_refiner=dataclasses.replace(quick.ray_refiner, steps=0),
        pose=dataclasses.replace(quick.pose, steps=1, batch=1),
        finetune=dataclasses.replace(quick.finetune, steps=0),
        measure_frames=1,
    )
    run = RunLayout(tmp_path / "run")
    run.root.mkdir()
    reporter = RecordingReporter()
    run_train(session, TrainParams(takes=("two",), training=config), run, reporter)
    assert any(text.startswith("The backbone starts from noise") for text, _ in reporter.notes)
    stored = take.layout.root / ".images"
    assert len(list(stored.iterdir())) == len(rig)
    shutil.rmtree(stored)
    predictor = Predictor.load(run, "cpu")
    assert predictor.networks.backbone is not None
    input_shapes: list[tuple[int, ...]] = []
    predictor.networks.backbone.register_forward_pre_hook(lambda _, inputs: input_shapes.append(tuple(inputs[0].shape)))
    found = predictor.reconstruct_take(take, rig, NAME, NullReporter(), tracking=EVERYBODY)
    assert len(found.time_s) == N and input_shapes == [(len(rig), 3, 80, 48)] * N
    assert not stored.exists()  # the videos themselves are read
