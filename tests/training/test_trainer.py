"""The training loop: it learns, stops on request, and an interrupted run ends as an uninterrupted one."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.datasets.config import SplitConfig
from core.datasets.footage import Footage, PseudoLabels
from core.errors import CancelledError, CoreError
from core.models.checkpoint import META, WEIGHTS, Checkpoint
from core.models.config import RayRefinerConfig
from core.models.inference import ProposedPeople, predict_joints
from core.models.networks import Networks
from core.models.scene import CaptureScene
from core.progress import NullReporter, RecordingReporter
from core.synthetic.people import walkers
from core.training.config import RigsConfig, TrainConfig
from core.training.losses.heatmaps import rendered_heatmaps
from core.training.losses.inputs import AugmentedStep, PosePeople, PoseStep
from core.training.losses.joints import matched_joints
from core.training.rigs import SyntheticRigs
from core.training.stages import pose as pose_stage
from core.training.stages.config import (
    PoseStageConfig,
    PoseSyntheticStageConfig,
    RayRefinerStageConfig,
    RootStageConfig,
)
from core.training.stages.pose import PoseTraining
from core.training.stages.root import RootTraining
from core.training.state import TrainingState, step_rng
from core.training.synthetic import pose_scenes
from core.training.trainer import Trainer
from core.training.validation import held_out_px, triangulated_px
from core.types.camera import CameraRig
from core.types.skeleton import PANOPTIC15
from core.types.volume import CaptureVolume

from .conftest import World

pytestmark = pytest.mark.slow


CPU = torch.device("cpu")


def trainer(config: TrainConfig, world: object, folder: Path, reporter: NullReporter | None = None) -> Trainer:
    footage: Footage = world.footage  # type: ignore[attr-defined]
    volume: CaptureVolume = world.volume  # type: ignore[attr-defined]
    return Trainer(config, footage, volume, folder, CPU, reporter or NullReporter())


@pytest.fixture(scope="module")
def uninterrupted(
    tiny: TrainConfig, world: object, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, RecordingReporter]:
    folder, reporter = tmp_path_factory.mktemp("run"), RecordingReporter()
    trainer(tiny, world, folder, reporter).run()
    return folder, reporter


class TestLoop:
    def test_every_stage_reports_metrics(self, uninterrupted: tuple[Path, RecordingReporter]) -> None:
        _, reporter = uninterrupted
        names = {name for name, _, _ in reporter.metrics}
        assert names >= {"root/loss", "root/synthetic_recall", "pose_synthetic/mm", "pose/loss", "held_out/px"}
        assert all(np.isfinite(value) for _, value, _ in reporter.metrics)
        assert reporter.progresses[-1][:2] == (9, 9)
        steps = [step for _, _, step in reporter.metrics]
        assert steps == sorted(steps)

    def test_keeps_last_and_best(self, uninterrupted: tuple[Path, RecordingReporter]) -> None:
        folder, _ = uninterrupted
        assert sorted(p.name for p in folder.iterdir()) == ["best", "last"]
        best, last = Checkpoint.load(folder / "best"), Checkpoint.load(folder / "last")
        assert not best.optimizer and last.meta["stage"] == 7 and last.meta["steps_done"] == 9
        assert isinstance(best.build(CPU), Networks)

    @pytest.mark.parametrize("stop_after", [2, 7])
    def test_interrupted_run_ends_with_the_same_weights(
        self,
        stop_after: int,
        tiny: TrainConfig,
        world: object,
        uninterrupted: tuple[Path, RecordingReporter],
        tmp_path: Path,
    ) -> None:
        with pytest.raises(CancelledError):
            trainer(tiny, world, tmp_path, RecordingReporter(cancel_after=stop_after)).run()
        state = trainer(tiny, world, tmp_path).run()
        assert state.steps_done == 9
        for name in ("last", "best"):
            whole, resumed = Checkpoint.load(uninterrupted[0] / name), Checkpoint.load(tmp_path / name)
            assert whole.weights.keys() == resumed.weights.keys()
            assert all(torch.equal(whole.weights[k], resumed.weights[k]) for k in whole.weights)

    def test_a_finished_run_does_nothing_when_resumed(
        self, tiny: TrainConfig, world: object, uninterrupted: tuple[Path, RecordingReporter]
    ) -> None:
        reporter = RecordingReporter()
        trainer(tiny, world, uninterrupted[0], reporter).run()
        assert not reporter.metrics

    def test_resuming_with_other_settings_is_refused(
        self, tiny: TrainConfig, world: object, uninterrupted: tuple[Path, RecordingReporter]
    ) -> None:
        with pytest.raises(CoreError, match="other settings"):
            trainer(dataclasses.replace(tiny, seed=7), world, uninterrupted[0]).run()

    def test_the_time_limit_ends_stages_with_a_note(self, tiny: TrainConfig, world: object, tmp_path: Path) -> None:
        reporter = RecordingReporter()
        state = trainer(dataclasses.replace(tiny, max_minutes=0.0), world, tmp_path, reporter).run()
        assert state.steps_done == 0 and (tmp_path / "best").is_dir()
        assert sum("used up" in text for text, _ in reporter.notes) == 3

    def test_a_loss_that_is_not_finite_is_an_error(self, tiny: TrainConfig, world: object, tmp_path: Path) -> None:
        diverging = dataclasses.replace(tiny, root=RootStageConfig(steps=5, batch=1, weights={"synthetic": 1e39}))
        with pytest.raises(CoreError, match="not finite"):
            trainer(diverging, world, tmp_path).run()

    def test_an_untrained_ray_refiner_is_reported(self, tiny: TrainConfig, world: World, tmp_path: Path) -> None:
        pose = dataclasses.replace(tiny.model.pose, ray_refiner=RayRefinerConfig(enabled=True))
        for steps in (0, 1):
            reporter = RecordingReporter()
            config = dataclasses.replace(
                tiny,
                model=dataclasses.replace(tiny.model, pose=pose),
                ray_refiner=RayRefinerStageConfig(steps=steps, batch=2),
            )
            trainer(config, world, tmp_path / str(steps), reporter)
            assert any("ray_refiner.steps" in text for text, _ in reporter.notes) == (steps == 0)


class TestMemory:
    def test_out_of_memory_halves_the_batch_and_a_resumed_run_keeps_it(
        self, tiny: TrainConfig, world: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        original = RootTraining.losses

        def out_of_memory(self: RootTraining, rng: np.random.Generator, step: int) -> dict[str, torch.Tensor]:
            if self.batch > 1:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
            return original(self, rng, step)

        monkeypatch.setattr(RootTraining, "losses", out_of_memory)
        reporter = RecordingReporter(cancel_after=2)
        with pytest.raises(CancelledError):
            trainer(tiny, world, tmp_path, reporter).run()
        assert sum("Out of memory" in text for text, _ in reporter.notes) == 1
        assert Checkpoint.load(tmp_path / "last").meta["reduced_stages"] == ["root"]
        again = trainer(tiny, world, tmp_path)
        assert again.run().steps_done == 9
        assert next(s for s in again.stages if s.name == "root").batch == 1  # type: ignore[attr-defined]

    def test_out_of_memory_with_a_batch_of_one_is_an_error(
        self, tiny: TrainConfig, world: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def out_of_memory(self: RootTraining, rng: np.random.Generator, step: int) -> dict[str, torch.Tensor]:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

        monkeypatch.setattr(RootTraining, "losses", out_of_memory)
        with pytest.raises(RuntimeError, match="allocate"):
            trainer(tiny, world, tmp_path).run()


class TestHeldOutCamera:
    def test_its_error_is_measured_only_where_one_is_configured(
        self, tiny: TrainConfig, world: object, tmp_path: Path
    ) -> None:
        reporter = RecordingReporter()
        trainer(tiny, world, tmp_path, reporter).run()
        names = {name for name, _, _ in reporter.metrics}
        assert {"held_out/px", "held_out/camera_px"} <= names
        without, reporter = (
            dataclasses.replace(tiny, split=dataclasses.replace(tiny.split, camera="")),
            RecordingReporter(),
        )
        trainer(without, world, tmp_path / "none", reporter).run()
        assert "held_out/camera_px" not in {name for name, _, _ in reporter.metrics}

    @pytest.mark.parametrize("train_on_camera", [True, False])
    def test_a_camera_excluded_from_training_has_no_effect(
        self, tiny: TrainConfig, world: World, tmp_path: Path, train_on_camera: bool
    ) -> None:
        config = dataclasses.replace(
            tiny,
            split=dataclasses.replace(tiny.split, camera="cam02", train_on_camera=train_on_camera),
            pose=dataclasses.replace(tiny.pose, joint_from=0.0, drop_view=0.5),
        )
        view = world.rig.names.index("cam02")
        weights = []
        for seed in range(2):
            inputs = dataclasses.replace(world.footage.inputs, xy_px=world.footage.inputs.xy_px.copy())
            inputs.xy_px[:, view] += np.random.default_rng(seed).normal(0, 100, inputs.xy_px[:, view].shape)
            labels = PseudoLabels(inputs.xy_px, inputs.score)
            other = dataclasses.replace(world, footage=dataclasses.replace(world.footage, inputs=inputs, labels=labels))
            trainer(config, other, tmp_path / str(seed)).run()
            weights.append(Checkpoint.load(tmp_path / str(seed) / "last").weights)
        same = all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
        assert same != train_on_camera

    def test_without_a_held_out_camera_none_can_be_excluded(
        self, tiny: TrainConfig, world: World, tmp_path: Path
    ) -> None:
        config = dataclasses.replace(tiny, split=SplitConfig(camera="", train_on_camera=False))
        with pytest.raises(CoreError, match="cannot be excluded"):
            trainer(config, world, tmp_path)


class TestCheckpoint:
    def test_the_former_checkpoint_is_used_after_a_crash_between_the_renames(
        self, uninterrupted: tuple[Path, RecordingReporter], tmp_path: Path
    ) -> None:
        saved = Checkpoint.load(uninterrupted[0] / "best")
        saved.save(tmp_path / "best")
        (tmp_path / "best").rename(tmp_path / ".best.old")
        assert Checkpoint.exists(tmp_path / "best") and Checkpoint.load(tmp_path / "best").meta == saved.meta
        saved.save(tmp_path / "best")
        assert [p.name for p in tmp_path.iterdir()] == ["best"]

    def test_newer_damaged_and_missing_ones_are_refused(
        self, uninterrupted: tuple[Path, RecordingReporter], tmp_path: Path
    ) -> None:
        with pytest.raises(CoreError, match="no checkpoint"):
            Checkpoint.load(tmp_path / "best")
        Checkpoint.load(uninterrupted[0] / "best").save(tmp_path / "best")
        meta = json.loads((tmp_path / "best" / META).read_text())
        (tmp_path / "best" / META).write_text(json.dumps({**meta, "schema": 99}))
        with pytest.raises(CoreError, match="newer"):
            Checkpoint.load(tmp_path / "best")
        (tmp_path / "best" / META).write_text(json.dumps(meta))
        (tmp_path / "best" / WEIGHTS).write_bytes(b"no weights")
        with pytest.raises(CoreError, match="cannot be read"):
            Checkpoint.load(tmp_path / "best")

    def test_training_state_survives_json(self) -> None:
        state = TrainingState(stage=1, step=5, steps_done=12, elapsed_s=3.5, best_px=None, best_stage="", seed=3)
        assert TrainingState.from_meta(json.loads(json.dumps(dataclasses.asdict(state)))) == state

    def test_random_numbers_depend_on_seed_stage_and_step_only(self) -> None:
        draws = {step_rng(s, g, t).random() for s in (0, 1) for g in (0, 1) for t in (0, 1)}
        assert len(draws) == 8 and step_rng(0, 1, 2).random() == step_rng(0, 1, 2).random()


class TestLearning:
    def test_root_loss_falls(self, tiny: TrainConfig, world: object, tmp_path: Path) -> None:
        config = dataclasses.replace(tiny, root=RootStageConfig(steps=30, batch=4, learning_rate=5e-3, real_batch=0))
        run = trainer(config, world, tmp_path)
        stage = next(s for s in run.stages if s.name == "root")
        run.networks.train()
        losses = []
        for step in range(30):
            run.state.step = step
            run._step(stage)
            if step in (0, 29):
                fixed = [stage.losses(step_rng(9, 0, k), 0)["loss"].detach() for k in range(4)]
                losses.append(float(torch.stack(fixed).mean()))
        assert losses[1] < 0.8 * losses[0]

    def test_synthetic_people_teach_the_pose_network(self, tiny: TrainConfig, world: object, tmp_path: Path) -> None:
        """Without the heatmap skip, everything that the network can do afterwards is learnt."""
        stage_config = PoseSyntheticStageConfig(steps=30, batch=6, learning_rate=3e-3, neighbours=0)
        model = dataclasses.replace(tiny.model, pose=dataclasses.replace(tiny.model.pose, heatmap_skip=False))
        config = dataclasses.replace(
            tiny,
            model=model,
            root=RootStageConfig(steps=0),
            pose_synthetic=stage_config,
            pose=PoseStageConfig(steps=0),
            measure_every=1000,
        )
        run = trainer(config, world, tmp_path)

        def error_mm() -> float:
            batch = pose_scenes(run.scene, 24, stage_config, np.random.default_rng(99))
            run.networks.pose.train()
            with torch.no_grad():
                joints, _ = predict_joints(run.networks, run.scene, batch.views, batch.root_mm, torch.arange(24))
            return float((joints - batch.exact_mm).norm(dim=-1).mean())

        before = error_mm()
        run.run()
        assert error_mm() < 0.8 * before


class TestStages:
    def test_pose_loss_is_smallest_at_the_ground_truth(
        self, tiny: TrainConfig, world: object, scene: CaptureScene
    ) -> None:
        """Exact joints, projected into the other augmented version, match its labels better than displaced ones."""
        footage: Footage = world.footage  # type: ignore[attr-defined]
        people: np.ndarray = world.people_mm  # type: ignore[attr-defined]
        config = PoseStageConfig(steps=10, joint_from=0)
        stage = PoseTraining(config, Networks(tiny.model), scene, footage)
        frame = footage.train[:1]
        exact = torch.tensor(people[frame[0]], dtype=torch.float32)
        sample = torch.zeros(len(exact), dtype=torch.long)
        xy, weight = stage._labels(frame, scene.affine[None])

        def losses(xyz_mm: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
            version = stage._projected(AugmentedStep(scene.affine[None], xy, weight), xyz_mm, sample)
            people = PosePeople(xyz_mm, xyz_mm)
            step = PoseStep(config, scene.size_hw, scene.sigma_px, 9, 10, version, version, version, people)
            return rendered_heatmaps(step), matched_joints(step)

        right, wrong = losses(exact), losses(exact + 120)
        assert right[0] < 0.5 * wrong[0] and right[1] < wrong[1]

    def test_gradient_reaches_the_pose_network_through_the_other_version(
        self, tiny: TrainConfig, world: object, scene: CaptureScene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        footage: Footage = world.footage  # type: ignore[attr-defined]
        people: np.ndarray = world.people_mm  # type: ignore[attr-defined]
        networks = Networks(tiny.model)
        stage = PoseTraining(PoseStageConfig(steps=10, joint_from=0), networks, scene, footage)
        roots = torch.tensor(people[footage.train[0], :, 2], dtype=torch.float32)
        sample, known = torch.zeros(len(roots), dtype=torch.long), torch.full((len(roots), 15, 3), torch.nan)
        unknown = known[..., None].expand(*known.shape, 3)
        found = ProposedPeople(roots, sample, None, known, unknown)  # type: ignore[arg-type]
        monkeypatch.setattr(pose_stage, "propose_people", lambda *_: found)
        losses = stage.losses(np.random.default_rng(0), 9)
        losses["loss"].backward()
        gain = networks.pose.gain.grad
        assert gain is not None and gain.abs().sum() > 0
        assert all(p.grad is None for p in networks.root.parameters())

    def test_root_consistency_is_zero_for_a_constant_network(
        self, tiny: TrainConfig, world: object, scene: CaptureScene
    ) -> None:
        networks = Networks(tiny.model)
        torch.nn.init.zeros_(networks.root.gain)
        rigs = SyntheticRigs(scene, RigsConfig(), tiny.model, 0)
        stage = RootTraining(RootStageConfig(), networks, scene, world.footage, rigs)  # type: ignore[attr-defined]
        assert float(stage.losses(np.random.default_rng(0), 0)["consistency"].detach()) == 0


class TestHeldOut:
    def test_missed_people_cost_the_gate(self, tiny: TrainConfig, world: object, scene: CaptureScene) -> None:
        rig: CameraRig = world.rig  # type: ignore[attr-defined]
        networks = Networks(tiny.model)
        torch.nn.init.zeros_(networks.root.gain)
        px = held_out_px(networks, scene, world.footage, 2)  # type: ignore[attr-defined]
        assert px == pytest.approx(0.05 * max(rig[0].size_px))

    def test_triangulated_people_are_measured_alike(self, world: World) -> None:
        people = walkers(2, 24, np.random.default_rng(0), half_size_mm=1200, skeleton=PANOPTIC15)
        np.testing.assert_array_equal(people.xyz_mm, world.people_mm)
        gate = 0.05 * max(world.rig[0].size_px)

        def px(**changes: Any) -> float:
            return triangulated_px([dataclasses.replace(people, **changes)], world.footage, PANOPTIC15, 4)

        assert 1.5 < px() < 6  # the labels have a noise of 3 px
        assert px(xyz_mm=people.xyz_mm + [200.0, 0, 0]) > 2 * px()
        assert px(xyz_mm=np.full_like(people.xyz_mm, np.nan), score=np.zeros_like(people.score)) == pytest.approx(gate)


def test_impossible_settings_are_refused_with_the_reason(tiny: TrainConfig, world: World, tmp_path: Path) -> None:
    def refused(**changes: Any) -> CoreError:
        config = dataclasses.replace(tiny, pose=dataclasses.replace(tiny.pose, **changes))
        with pytest.raises(CoreError) as error:
            Trainer(config, world.footage, world.volume, tmp_path, torch.device("cpu"), NullReporter())
        return error.value

    images = refused(attention="network")
    assert "needs images" in images.message and "closed" in images.hint
    word = refused(attention="netwrok")
    assert "training.pose.attention" in word.message and "network" in word.hint
