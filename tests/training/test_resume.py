"""A run cut off anywhere, cancelled or killed, ends bit by bit as one that was not: every stage, every boundary."""

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

STAGES = ["backbone", "root", "pose_synthetic", "ray_refiner", "temporal", "pose", "finetune"]
STEPS = 2


class _PowerCutError(Exception):
    """Nobody expects it, so nothing is saved."""


@dataclass
class _Cutting(NullReporter):
    """Cuts the power at the n-th thing that it is told, or asks to stop from the n-th step on."""

    cut_at: int | None = None
    cancel_at: int | None = None
    told: int = 0
    steps: int = 0

    def _tell(self) -> None:
        if self.told == self.cut_at:
            raise _PowerCutError
        self.told += 1

    def progress(self, done: float, total: float, text: str = "") -> None:
        self.steps += 1
        self._tell()

    def metric(self, name: str, value: float, step: int) -> None:
        self._tell()

    def note(self, text: str, level: Level = "info") -> None:
        self._tell()

    def cancelled(self) -> bool:
        self._tell()
        return self.cancel_at is not None and self.steps >= self.cancel_at


@pytest.fixture(scope="module")
def every(tiny: TrainConfig) -> TrainConfig:
    """Two steps of each stage, measured before, between and after them."""
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
def filmed(world: World) -> World:
    """The world with noise for images: what the backbone makes of them does not matter here."""
    rng = np.random.default_rng(0)
    T = len(world.footage.inputs)
    films = [rng.integers(0, 255, (T, *(side // 20 for side in c.size_px[::-1]), 3), np.uint8) for c in world.rig]
    footage = dataclasses.replace(world.footage, images=StoredImages(films, world.rig, 2))
    return dataclasses.replace(world, footage=footage)


def run(config: TrainConfig, world: World, folder: Path, reporter: NullReporter) -> None:
    trainer = Trainer(config, world.footage, world.volume, folder, torch.device("cpu"), reporter)
    assert [s.name for s in trainer.stages if s.steps] == STAGES
    trainer.run()


@pytest.fixture(scope="module")
def whole(every: TrainConfig, filmed: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """An uninterrupted run, and how many things it told."""
    folder, reporter = tmp_path_factory.mktemp("whole"), _Cutting()
    run(every, filmed, folder, reporter)
    return folder, reporter.told


def assert_same(folder: Path, other: Path) -> None:
    for name in ("last", "best"):
        one, two = Checkpoint.load(folder / name), Checkpoint.load(other / name)
        assert one.weights.keys() == two.weights.keys()
        different = [key for key in one.weights if not torch.equal(one.weights[key], two.weights[key])]
        assert not different, f"{name}: {different[:3]}"
        assert {**one.meta, "elapsed_s": 0} == {**two.meta, "elapsed_s": 0}


def test_stopped_after_each_step_in_turn(
    every: TrainConfig, filmed: World, whole: tuple[Path, int], tmp_path: Path
) -> None:
    """One run that is asked to stop again and again: it never does more than a step at a time, or the last of a stage
    and the first of the next."""
    stops = 0
    while True:
        try:
            run(every, filmed, tmp_path, _Cutting(cancel_at=1))
        except CancelledError:
            stops += 1
            state = Checkpoint.load(tmp_path / "last").meta
            assert state["steps_done"] == state["stage"] * STEPS + state["step"] >= stops
            continue
        break
    assert stops >= len(STAGES) * STEPS // 2
    assert_same(whole[0], tmp_path)


@pytest.mark.parametrize("checkpoint_s", [0.0, 1e9])
def test_killed_at_many_frames(
    checkpoint_s: float, every: TrainConfig, filmed: World, whole: tuple[Path, int], tmp_path: Path
) -> None:
    """One run whose power fails again and again, with a checkpoint after every step, or only between stages.

    The cuts fall anywhere: into steps, measurements, before and after the best weights are saved.
    """
    config = dataclasses.replace(every, checkpoint_s=checkpoint_s)
    rng = np.random.default_rng(0)
    cuts, places = 0, set()
    while cuts < 100:
        try:
            run(config, filmed, tmp_path, _Cutting(cut_at=int(rng.integers(2, whole[1] // 3))))
        except _PowerCutError:
            cuts += 1
            if Checkpoint.exists(tmp_path / "last"):
                meta = Checkpoint.load(tmp_path / "last").meta
                places.add((meta["stage"], meta["step"]))
            continue
        break
    assert cuts >= 4 and len(places) >= 3
    assert_same(whole[0], tmp_path)


def test_goes_on_in_the_stage_of_that_name(every: TrainConfig, filmed: World, tmp_path: Path) -> None:
    """Another version of the program may count its stages otherwise."""
    with pytest.raises(CancelledError):
        run(every, filmed, tmp_path, _Cutting(cancel_at=2 * STEPS + 1))
    saved = Checkpoint.load(tmp_path / "last")
    assert saved.meta["stage_name"] == "pose_synthetic" and saved.meta["stage"] == 2
    dataclasses.replace(saved, meta={**saved.meta, "stage": 1}).save(tmp_path / "last")
    with pytest.raises(CancelledError):
        run(every, filmed, tmp_path, _Cutting(cancel_at=1))
    assert (
        Checkpoint.load(tmp_path / "last").meta["stage_name"] == "ray_refiner"
    )  # and not back in the root stage's next
    dataclasses.replace(saved, meta={**saved.meta, "stage_name": "dreams"}).save(tmp_path / "last")
    with pytest.raises(CoreError, match="dreams"):
        run(every, filmed, tmp_path, _Cutting())
