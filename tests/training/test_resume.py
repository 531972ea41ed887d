"""A run that is cancelled or killed anywhere and resumed ends bit-identical to an uninterrupted one."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from core.datasets.images import StoredImages
from core.errors import CancelledError, CoreError
from core.models.checkpoint import Checkpoint
from core.models.config import BackboneConfig, RayRefinerConfig, TemporalRefinerConfig
from core.progress import Level, NullReporter
from core.training.config import TrainConfig
from core.training.stages.config import BackboneStageConfig, RayRefinerStageConfig, TemporalStageConfig, finetune_stage
from core.training.trainer import Trainer

from .conftest import World

pytestmark = pytest.mark.slow


STAGES = ["backbone", "root", "pose_synthetic", "ray_refiner", "temporal", "pose", "finetune"]
STEPS = 2


class _KilledError(Exception):
    """An exception that no code handles, so nothing is saved."""


@dataclass
class _InterruptingReporter(NullReporter):
    """Raises at the n-th call, or asks to stop from the n-th step on."""

    kill_at_call: int | None = None
    cancel_at_step: int | None = None
    calls: int = 0
    steps: int = 0

    def _count_call(self) -> None:
        if self.calls == self.kill_at_call:
            raise _KilledError
        self.calls += 1

    def progress(self, done: float, total: float, text: str = "") -> None:
        self.steps += 1
        self._count_call()

    def metric(self, name: str, value: float, step: int) -> None:
        self._count_call()

    def note(self, text: str, level: Level = "info") -> None:
        self._count_call()

    def cancelled(self) -> bool:
        self._count_call()
        return self.cancel_at_step is not None and self.steps >= self.cancel_at_step


@pytest.fixture(scope="module")
def two_steps(tiny: TrainConfig) -> TrainConfig:
    """Return settings with two steps of each stage, measured before, between and after them."""
    model = dataclasses.replace(
        tiny.model,
        heatmap=dataclasses.replace(tiny.model.heatmap, source="backbone"),
        backbone=BackboneConfig(depth=18, width=0.125, deconv_channels=16, stride=2),
        pose=dataclasses.replace(tiny.model.pose, ray_refiner=RayRefinerConfig(enabled=True)),
        temporal=TemporalRefinerConfig(enabled=True, channels=16, layers=1, heads=2, frames=6),
    )
    return dataclasses.replace(
        tiny,
        model=model,
        backbone=BackboneStageConfig(steps=STEPS, batch=1, augment=True, photometric=True),
        root=dataclasses.replace(tiny.root, steps=STEPS),
        pose_synthetic=dataclasses.replace(tiny.pose_synthetic, steps=STEPS),
        ray_refiner=RayRefinerStageConfig(steps=STEPS, batch=4),
        temporal=TemporalStageConfig(steps=STEPS, batch=3, frames=8, scenes=3, cache_size=2),
        pose=dataclasses.replace(tiny.pose, steps=STEPS, train_ray_refiner=True, joint_from=0.0),
        finetune=dataclasses.replace(finetune_stage(), steps=STEPS, attention="closed"),
        measure_every=1,
        max_minutes=1e9,
    )


@pytest.fixture(scope="module")
def with_images(world: World) -> World:
    """Return the world with noise as images: the output of the backbone does not matter here."""
    rng = np.random.default_rng(0)
    T = len(world.footage.inputs)
    videos = [rng.integers(0, 255, (T, *(side // 20 for side in c.size_px[::-1]), 3), np.uint8) for c in world.rig]
    footage = dataclasses.replace(world.footage, images=StoredImages(videos, world.rig, 2))
    return dataclasses.replace(world, footage=footage)


def run(config: TrainConfig, world: World, folder: Path, reporter: NullReporter) -> None:
    trainer = Trainer(config, world.footage, world.volume, folder, torch.device("cpu"), reporter)
    assert [s.name for s in trainer.stages if s.steps] == STAGES
    trainer.run()


@pytest.fixture(scope="module")
def uninterrupted(
    two_steps: TrainConfig, with_images: World, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, int]:
    """Return the folder of an uninterrupted run, and its number of calls of the reporter."""
    folder, reporter = tmp_path_factory.mktemp("whole"), _InterruptingReporter()
    run(two_steps, with_images, folder, reporter)
    return folder, reporter.calls


def assert_same(folder: Path, other: Path) -> None:
    for name in ("last", "best"):
        one, two = Checkpoint.load(folder / name), Checkpoint.load(other / name)
        assert one.weights.keys() == two.weights.keys()
        different = [key for key in one.weights if not torch.equal(one.weights[key], two.weights[key])]
        assert not different, f"{name}: {different[:3]}"
        assert {**one.meta, "elapsed_s": 0} == {**two.meta, "elapsed_s": 0}


def test_a_run_cancelled_after_each_step_ends_the_same(
    two_steps: TrainConfig, with_images: World, uninterrupted: tuple[Path, int], tmp_path: Path
) -> None:
    """One run, cancelled repeatedly: each time it does one step, or the last of a stage and the first of the next."""
    stops = 0
    while True:
        try:
            run(two_steps, with_images, tmp_path, _InterruptingReporter(cancel_at_step=1))
        except CancelledError:
            stops += 1
            state = Checkpoint.load(tmp_path / "last").meta
            assert state["steps_done"] == state["stage"] * STEPS + state["step"] >= stops
            continue
        break
    assert stops >= len(STAGES) * STEPS // 2
    assert_same(uninterrupted[0], tmp_path)


@pytest.mark.parametrize("checkpoint_s", [0.0, 1e9])
def test_a_run_killed_many_times_ends_the_same(
    checkpoint_s: float, two_steps: TrainConfig, with_images: World, uninterrupted: tuple[Path, int], tmp_path: Path
) -> None:
    """One run, killed repeatedly, with a checkpoint after every step or only between stages.

    It is killed anywhere: in steps, in measurements, before and after the best weights are saved.
    """
    config = dataclasses.replace(two_steps, checkpoint_s=checkpoint_s)
    rng = np.random.default_rng(0)
    kills, positions = 0, set()
    while kills < 100:
        try:
            run(
                config,
                with_images,
                tmp_path,
                _InterruptingReporter(kill_at_call=int(rng.integers(2, uninterrupted[1] // 3))),
            )
        except _KilledError:
            kills += 1
            if Checkpoint.exists(tmp_path / "last"):
                meta = Checkpoint.load(tmp_path / "last").meta
                positions.add((meta["stage"], meta["step"]))
            continue
        break
    assert kills >= 4 and len(positions) >= 3
    assert_same(uninterrupted[0], tmp_path)


def test_a_run_is_resumed_in_the_stage_of_the_saved_name(
    two_steps: TrainConfig, with_images: World, tmp_path: Path
) -> None:
    """Another version of the program may number its stages differently."""
    with pytest.raises(CancelledError):
        run(two_steps, with_images, tmp_path, _InterruptingReporter(cancel_at_step=2 * STEPS + 1))
    saved = Checkpoint.load(tmp_path / "last")
    assert saved.meta["stage_name"] == "pose_synthetic" and saved.meta["stage"] == 2
    dataclasses.replace(saved, meta={**saved.meta, "stage": 1}).save(tmp_path / "last")
    with pytest.raises(CancelledError):
        run(two_steps, with_images, tmp_path, _InterruptingReporter(cancel_at_step=1))
    assert (
        Checkpoint.load(tmp_path / "last").meta["stage_name"] == "ray_refiner"
    )  # the saved number would give the stage after the root stage
    dataclasses.replace(saved, meta={**saved.meta, "stage_name": "dreams"}).save(tmp_path / "last")
    with pytest.raises(CoreError, match="dreams"):
        run(two_steps, with_images, tmp_path, _InterruptingReporter())
