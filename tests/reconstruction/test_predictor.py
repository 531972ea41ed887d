"""Inference from 2D poses: any number of people, excluded cameras, selected frames, checkpoints."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from core.association.config import AssociationConfig
from core.datasets.poses2d import MultiviewPoses2D
from core.errors import CancelledError, CoreError
from core.geometry import project
from core.geometry.accuracy import expected_error_mm
from core.geometry.similarity import Similarity
from core.geometry.so3 import exp
from core.models import engine as frozen
from core.models.checkpoint import Checkpoint
from core.models.config import (
    HeatmapConfig,
    ModelConfig,
    PoseNetConfig,
    RayRefinerConfig,
    RootNetConfig,
    TemporalRefinerConfig,
    VolumeNetConfig,
)
from core.models.networks import Networks
from core.models.view_batch import ViewBatch
from core.progress import NullReporter, RecordingReporter
from core.reconstruction import predictor as module
from core.reconstruction.predictor import Predictor
from core.reconstruction.reconstructor import OnlineReconstructor, Reconstructor
from core.session import RunLayout
from core.synthetic.observe import observe
from core.synthetic.people import walkers
from core.synthetic.rigs import ring_rig
from core.tracking.config import TrackingConfig
from core.training.synthetic import root_relative_joints
from core.types.camera import CameraRig
from core.types.pose2d import Pose2D
from core.types.pose3d import Pose3DSequence
from core.types.skeleton import PANOPTIC15
from core.types.volume import CaptureVolume

CPU = torch.device("cpu")
VOLUME = CaptureVolume(centre_mm=np.array([0.0, 0, 800]), size_mm=np.array([4400.0, 4400, 2000]), voxels=(40, 40, 16))


@pytest.fixture(scope="module")
def config() -> ModelConfig:
    net = VolumeNetConfig(width=0.25, front_kernel=3)
    return ModelConfig(
        heatmap=HeatmapConfig(long_side_px=128, sigma_px=2.0),
        root=RootNetConfig(net=net, threshold=0.45),
        pose=PoseNetConfig(net=net, voxels=24, ray_refiner=RayRefinerConfig(enabled=True, max_std_mm=0.0)),
    )


@pytest.fixture(scope="module")
def rig() -> CameraRig:
    return ring_rig(4)


@pytest.fixture(scope="module")
def people() -> Pose3DSequence:
    return walkers(2, 9, np.random.default_rng(4), half_size_mm=1200, skeleton=PANOPTIC15)


@pytest.fixture(scope="module")
def poses2d(rig: CameraRig, people: Pose3DSequence) -> dict[str, Pose2D]:
    return observe(rig, people, 1.0, 0.0, np.random.default_rng(1), joint_miss=0.0)


def untrained(config: ModelConfig) -> Networks:
    """Untrained networks, of which only the skip connections act: the consistency of views."""
    torch.manual_seed(0)
    networks = Networks(config)
    bodies = root_relative_joints(500, np.random.default_rng(0), PANOPTIC15)
    networks.pose.prior.fit(torch.tensor(bodies, dtype=torch.float32))
    return networks


@pytest.fixture
def predictor(config: ModelConfig) -> Predictor:
    return Predictor(untrained(config), VOLUME, CPU, "run")


def error_mm(found: Pose3DSequence, people: Pose3DSequence) -> np.ndarray:
    """Return the mean joint error (T, P) of every person to the nearest prediction."""
    apart = np.linalg.norm(found.xyz_mm[:, :, None] - people.xyz_mm[:, None], axis=-1).mean(-1)
    return np.asarray(np.nanmin(apart, axis=1))


class TestPredictor:
    @pytest.mark.slow
    def test_all_people_are_found(
        self, predictor: Predictor, rig: CameraRig, people: Pose3DSequence, poses2d: dict[str, Pose2D]
    ) -> None:
        reporter = RecordingReporter()
        found = predictor.reconstruct(rig, poses2d, people.time_s, reporter)
        assert found.xyz_mm.shape == people.xyz_mm.shape and found.present.all()
        # 1 px is about 3 mm here; the rest is what two people's heatmaps take from each other.
        assert np.median(error_mm(found, people)) < 15
        assert found.covariance_mm2 is not None and np.isfinite(found.covariance_mm2).all()
        assert (found.score > 0).all() and found.provenance["run"] == "run"
        assert reporter.progresses[-1][0] == pytest.approx(reporter.progresses[-1][1])

    def test_nobody_whom_triangulation_finds_is_lost(
        self, config: ModelConfig, rig: CameraRig, people: Pose3DSequence, poses2d: dict[str, Pose2D]
    ) -> None:
        """A root network that finds nobody, hips that no view shows, and a capture volume that people have left."""
        blind = dataclasses.replace(config, root=dataclasses.replace(config.root, threshold=2.0))
        away = CaptureVolume(centre_mm=np.array([9e3, 0, 800]), size_mm=np.array([2e3, 2e3, 2e3]), voxels=(20, 20, 20))
        hips = PANOPTIC15.indices("left_hip", "right_hip", "mid_hip")
        hidden = {}
        for name, pose in poses2d.items():
            score = pose.score.copy()
            score[..., hips] = 0
            hidden[name] = dataclasses.replace(
                pose, score=score, xy_px=np.where(score[..., None] > 0, pose.xy_px, np.nan)
            )
        predictor = Predictor(untrained(blind), away, CPU, "run")
        found = predictor.reconstruct(rig, hidden, people.time_s[:4], NullReporter(), frames=np.arange(4))
        exact = dataclasses.replace(people, time_s=people.time_s[:4], xyz_mm=people.xyz_mm[:4], score=people.score[:4])
        assert found.xyz_mm.shape == exact.xyz_mm.shape and found.present.all()
        rest = np.delete(np.arange(len(PANOPTIC15)), hips)
        apart = np.linalg.norm(found.xyz_mm[:, :, None] - exact.xyz_mm[:, None], axis=-1)
        assert np.nanmin(apart[..., rest].mean(-1), axis=1).max() < 15
        # The pose network sees no hips either: the prior of bodies places them.
        assert np.nanmin(apart[..., hips].mean(-1), axis=1).max() < 300

    def test_networks_work_in_the_world_coordinates_of_their_training(
        self, predictor: Predictor, rig: CameraRig, people: Pose3DSequence, poses2d: dict[str, Pose2D]
    ) -> None:
        frames = np.arange(3)
        expected = predictor.reconstruct(rig, poses2d, people.time_s, NullReporter(), frames=frames)
        change = Similarity(R=exp(np.array([0.3, -0.2, 1.1])), origin_mm=np.array([900.0, -400.0, 50.0]), scale=1.3)
        moved = change.rig(rig)
        predictor.world = change.inverse
        found = predictor.reconstruct(moved, poses2d, people.time_s, NullReporter(), frames=frames)
        assert found.provenance["rig"] == moved.digest
        shift_px = [project(moved[c.name], found.xyz_mm) - project(c, expected.xyz_mm) for c in rig]
        assert np.nanmax(np.abs(shift_px)) < 0.01

    @pytest.mark.slow
    def test_selected_frames_equal_those_of_the_whole_take(
        self, predictor: Predictor, rig: CameraRig, people: Pose3DSequence, poses2d: dict[str, Pose2D]
    ) -> None:
        few = TrackingConfig(confirm_s=0.0)
        everything = predictor.reconstruct(rig, poses2d, people.time_s, NullReporter(), tracking=few)
        some = predictor.reconstruct(
            rig, poses2d, people.time_s, NullReporter(), frames=np.array([1, 2, 7]), tracking=few
        )
        assert some.time_s.tolist() == people.time_s[[1, 2, 7]].tolist()
        assert np.sort(some.xyz_mm, 1) == pytest.approx(np.sort(everything.xyz_mm[[1, 2, 7]], 1), abs=0.1)

    @pytest.mark.slow
    def test_an_excluded_camera_is_not_used(
        self, predictor: Predictor, rig: CameraRig, people: Pose3DSequence, poses2d: dict[str, Pose2D]
    ) -> None:
        blind = dict(poses2d)
        shifted = poses2d["cam02"]
        blind["cam02"] = Pose2D(
            camera="cam02", skeleton=shifted.skeleton, xy_px=shifted.xy_px + 300, score=shifted.score,
            box_px=shifted.box_px,
        )  # fmt: skip
        without = predictor.reconstruct(rig, poses2d, people.time_s, NullReporter(), exclude_camera="cam02")
        also = predictor.reconstruct(rig, blind, people.time_s, NullReporter(), exclude_camera="cam02")
        assert np.array_equal(without.xyz_mm, also.xyz_mm, equal_nan=True)
        assert np.median(error_mm(without, people)) < 40 and without.provenance["excluded"] == "cam02"

    def test_unknown_and_too_few_cameras_are_refused(
        self, predictor: Predictor, rig: CameraRig, people: Pose3DSequence, poses2d: dict[str, Pose2D]
    ) -> None:
        with pytest.raises(CoreError, match="no camera 'cam9'"):
            predictor.reconstruct(rig, poses2d, people.time_s, NullReporter(), exclude_camera="cam9")
        pair = rig.subset(rig.names[:2])
        with pytest.raises(CoreError, match="only one camera"):
            predictor.reconstruct(pair, poses2d, people.time_s, NullReporter(), exclude_camera=rig.names[0])

    def test_an_empty_take_has_no_people(self, predictor: Predictor, rig: CameraRig) -> None:
        no_people = {
            name: Pose2D(
                camera=name, skeleton=PANOPTIC15, xy_px=np.full((5, 1, 15, 2), np.nan), score=np.zeros((5, 1, 15)),
                box_px=np.full((5, 1, 4), np.nan),
            )
            for name in rig.names
        }  # fmt: skip
        found = predictor.reconstruct(rig, no_people, np.arange(5) / 30, NullReporter())
        assert not found.present.any() and len(found.time_s) == 5

    @pytest.mark.slow
    def test_prediction_can_be_cancelled(
        self, predictor: Predictor, rig: CameraRig, people: Pose3DSequence, poses2d: dict[str, Pose2D]
    ) -> None:
        with pytest.raises(CancelledError):
            predictor.reconstruct(rig, poses2d, people.time_s, RecordingReporter(cancel_after=1))

    @pytest.mark.slow
    def test_memory_is_bounded_by_the_batch(
        self,
        predictor: Predictor,
        rig: CameraRig,
        people: Pose3DSequence,
        poses2d: dict[str, Pose2D],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Apart from the result, memory does not grow with the length of the take."""
        seen: list[int] = []
        real = module.make_view_batch

        def counted(inputs: MultiviewPoses2D, *rest: Any) -> ViewBatch:
            seen.append(len(inputs))
            return real(inputs, *rest)

        monkeypatch.setattr(module, "make_view_batch", counted)
        predictor.reconstruct(rig, poses2d, people.time_s, NullReporter())
        assert seen == [4, 4, 1]

    def test_device_and_engine_are_reported(
        self, config: ModelConfig, rig: CameraRig, people: Pose3DSequence, poses2d: Any
    ) -> None:
        predictor = Predictor(untrained(config), VOLUME, CPU, "run", "fp32")
        reporter = RecordingReporter()
        predictor.reconstruct(rig, poses2d, people.time_s[:1], reporter, frames=np.array([0]))
        assert predictor.runs_on.startswith("CPU, ") and predictor.runs_on.endswith(", fp32")
        assert frozen.engine_name(CPU) in predictor.runs_on
        assert reporter.progresses[-1][2].endswith(predictor.runs_on)

    @pytest.mark.skipif(torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="this CPU computes in bf16")
    def test_a_precision_that_the_device_lacks_is_refused(self, config: ModelConfig) -> None:
        with pytest.raises(CoreError, match="bf16"):
            Predictor(untrained(config), VOLUME, CPU, "run", "bf16")

    @pytest.mark.skipif(frozen.openvino() is None, reason="OpenVINO is not installed")
    def test_the_engine_changes_results_by_rounding_only(
        self, config: ModelConfig, rig: CameraRig, people: Pose3DSequence, poses2d: dict[str, Pose2D],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        def found(noise: float) -> Pose3DSequence:
            networks = untrained(config)
            for part in networks.modules():
                if isinstance(part, torch.nn.Conv3d | torch.nn.ConvTranspose3d):
                    torch.nn.init.kaiming_normal_(part.weight)
            for net in (networks.root.net, networks.pose.net):
                torch.nn.init.normal_(net.out.weight, std=noise)  # type: ignore[union-attr]
            # Joints that are triangulated leave the networks no say.
            predictor = Predictor(networks, VOLUME, CPU, "run", "fp32", association=AssociationConfig(min_joints=99))
            return predictor.reconstruct(rig, poses2d, people.time_s[:4], NullReporter(), frames=np.arange(4))

        one, plain = found(1e-3), found(0.0)
        monkeypatch.setattr(frozen, "openvino", lambda: None)
        other = found(1e-3)
        assert one.present.any() and np.array_equal(one.present, other.present)
        np.testing.assert_allclose(one.xyz_mm, other.xyz_mm, atol=0.05)
        assert np.nanmax(np.abs(one.xyz_mm - plain.xyz_mm)) > 0.5  # the networks have a say

    @pytest.mark.slow
    def test_a_checkpoint_gives_the_same_result(
        self, config: ModelConfig, predictor: Predictor, rig: CameraRig, people: Pose3DSequence,
        poses2d: dict[str, Pose2D], tmp_path: object,
    ) -> None:  # fmt: skip
        run = RunLayout(tmp_path)  # type: ignore[arg-type]
        networks = untrained(config)
        Checkpoint(networks.state_dict(), config, VOLUME, {"step": 1}, {}).save(run.checkpoints / "best")
        loaded = Predictor.load(run, "cpu")
        expected = predictor.reconstruct(rig, poses2d, people.time_s[:3], NullReporter())
        found = loaded.reconstruct(rig, poses2d, people.time_s[:3], NullReporter())
        assert np.array_equal(found.xyz_mm, expected.xyz_mm, equal_nan=True)
        with pytest.raises(CoreError, match="no checkpoint"):
            Predictor.load(RunLayout(run.root / "other"), "cpu")


@pytest.mark.slow
def test_a_frame_at_a_time_gives_the_people_of_the_whole_take(
    predictor: Predictor, rig: CameraRig, people: Pose3DSequence, poses2d: dict[str, Pose2D]
) -> None:
    method: Reconstructor = predictor
    whole = method.reconstruct(rig, poses2d, people.time_s, NullReporter())
    online: OnlineReconstructor = predictor.online(rig)
    for t, now in enumerate(people.time_s.tolist()):
        rows = np.array([t])
        single = {name: pose.select(rows) for name, pose in poses2d.items()}
        found = online.update(now, single)
        order = np.argsort(found.ids)
        assert found.ids[order].tolist() == [1, 2]
        expected = whole.xyz_mm[t]
        apart = np.nan_to_num(np.abs(found.xyz_mm[order][:, None] - expected[None])).max((2, 3))
        # Batches of another size differ by rounding.
        assert apart.min(1).max() < 0.1


def test_networks_that_read_heatmaps_have_no_live_form(config: ModelConfig, rig: CameraRig) -> None:
    stored = dataclasses.replace(config, heatmap=dataclasses.replace(config.heatmap, source="estimator"))
    with pytest.raises(CoreError, match="live stream"):
        Predictor(untrained(stored), VOLUME, CPU, "run").online(rig)


def test_the_limit_of_uncertainty_follows_the_rig(config: ModelConfig, rig: CameraRig) -> None:
    """60 mm in a room; at people far from the cameras what the rig can do there."""
    people = np.tile([0.0, 0, 1000], (3, 15, 1))
    people[1, :5] = np.nan
    people[2] *= np.nan
    strict = dataclasses.replace(config.pose, ray_refiner=RayRefinerConfig(enabled=True, max_std_mm=60.0))
    predictor = Predictor(untrained(dataclasses.replace(config, pose=strict)), VOLUME, CPU, "run")
    assert predictor._limit_mm(rig, people)[:2].tolist() == [60, 60] and np.isfinite(
        predictor._limit_mm(rig, people[2])
    )
    away = ring_rig(4, radius_mm=40_000.0)
    far = predictor._limit_mm(away, people[:1])
    assert far == pytest.approx(3 / np.sqrt(3) * expected_error_mm(away, people[:1, 0])) and 100 < far < 400
    assert np.isinf(Predictor(untrained(config), VOLUME, CPU, "run")._limit_mm(away, people)).all()


class TestTemporalRefinement:
    """Untrained networks with the temporal refiner: a Kalman smoother of plain triangulation."""

    @pytest.fixture
    def walking(self) -> Pose3DSequence:
        return walkers(2, 36, np.random.default_rng(4), half_size_mm=1200, skeleton=PANOPTIC15)

    @pytest.fixture
    def noisy(self, rig: CameraRig, walking: Pose3DSequence) -> dict[str, Pose2D]:
        """Return detections without people in frames 20 and 21."""
        seen = observe(rig, walking, 6.0, 0.0, np.random.default_rng(1), joint_miss=0.0)
        gone = {}
        for name, poses in seen.items():
            score = poses.score.copy()
            score[20:22] = 0
            gone[name] = dataclasses.replace(
                poses, score=score, xy_px=np.where(score[..., None] > 0, poses.xy_px, np.nan)
            )
        return gone

    def predictor(self, config: ModelConfig, temporal: bool) -> Predictor:
        pose = dataclasses.replace(config.pose, ray_refiner=RayRefinerConfig(enabled=True))
        both = dataclasses.replace(config, pose=pose, temporal=TemporalRefinerConfig(enabled=True, frames=16))
        return Predictor(untrained(both), VOLUME, CPU, "run", temporal=temporal)

    @pytest.mark.slow
    def test_noise_is_reduced_and_gaps_are_filled(
        self, config: ModelConfig, rig: CameraRig, walking: Pose3DSequence, noisy: dict[str, Pose2D]
    ) -> None:
        alone, together = (
            self.predictor(config, over).reconstruct(rig, noisy, walking.time_s, NullReporter())
            for over in (False, True)
        )
        assert not alone.present[20:22].any() and together.present.all()
        known = alone.present.all(1)

        def off_mm(found: Pose3DSequence, frames: np.ndarray | slice) -> float:
            apart = np.linalg.norm(found.xyz_mm[frames, :, None] - walking.xyz_mm[frames, None], axis=-1)
            return float(np.nanmin(np.nanmean(apart, -1), axis=1).mean())

        before, after = (off_mm(found, known) for found in (alone, together))
        assert after < 0.85 * before
        assert off_mm(together, slice(20, 22)) < 3 * after
        assert together.covariance_mm2 is not None and alone.covariance_mm2 is not None
        size = [np.nanmedian(np.trace(f.covariance_mm2, axis1=-2, axis2=-1)[known]) for f in (alone, together)]
        assert size[1] < size[0]
        assert (together.provenance["temporal"], alone.provenance["temporal"]) == (True, False)
        assert together.score[20:22].max() < alone.score[known].min()

    @pytest.mark.slow
    def test_frames_with_context_equal_those_of_the_whole_take(
        self, config: ModelConfig, rig: CameraRig, walking: Pose3DSequence, noisy: dict[str, Pose2D]
    ) -> None:
        predictor = self.predictor(config, True)
        wanted = np.arange(8, 12)
        frames = predictor.with_context(wanted, 36)
        assert frames.tolist() == list(range(4, 16))
        assert self.predictor(config, False).with_context(wanted, 36).tolist() == wanted.tolist()
        few = TrackingConfig(confirm_s=0.0)
        whole = predictor.reconstruct(rig, noisy, walking.time_s, NullReporter(), tracking=few)
        part = predictor.reconstruct(rig, noisy, walking.time_s, NullReporter(), frames=frames, tracking=few)
        alone = predictor.reconstruct(rig, noisy, walking.time_s, NullReporter(), frames=wanted, tracking=few)

        def apart(found: Pose3DSequence) -> float:
            rows = np.searchsorted(found.time_s, whole.time_s[wanted])
            one, other = found.xyz_mm[rows, :, None], whole.xyz_mm[wanted][:, None]
            return float(np.nanmin(np.linalg.norm(one - other, axis=-1).mean(-1), axis=1).mean())

        assert apart(part) < 0.5 * apart(alone)
