"""Distributed training agrees with a single process: the same gradients, statistics and weights."""

from __future__ import annotations

import dataclasses
import os
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from torch import Tensor

from core.errors import CancelledError, CoreError
from core.jobs.launch import Ranks
from core.models.checkpoint import Checkpoint
from core.models.device import set_precision
from core.models.distributed import Group
from core.models.scene import CaptureScene
from core.models.view_batch import ViewBatch
from core.progress import NullReporter, RecordingReporter
from core.training.config import TrainConfig
from core.training.losses.roots import root_loss
from core.training.parallel import BatchNormStatistics
from core.training.stages.root import RootTraining
from core.training.synthetic import root_scenes, root_target
from core.training.trainer import Trainer

from .conftest import World, tiny_config, tiny_world

pytestmark = pytest.mark.slow


STAGES = ("root", "pose_synthetic", "pose")


def settings() -> TrainConfig:
    """Return settings with two steps per stage and batches that two processes can share."""
    tiny = tiny_config()
    return dataclasses.replace(
        tiny,
        root=dataclasses.replace(tiny.root, steps=2, batch=2, real_batch=2),
        pose_synthetic=dataclasses.replace(tiny.pose_synthetic, steps=2, batch=4),
        pose=dataclasses.replace(tiny.pose, steps=2, batch=2, joint_from=0.0),
        measure_every=1,
        max_minutes=1e9,
    )


def trainer_of(folder: Path, group: Group, micro_batches: int, world: World | None = None) -> Trainer:
    config = settings()
    world = tiny_world(config) if world is None else world
    trainer = Trainer(config, world.footage, world.volume, folder, torch.device("cpu"), NullReporter(), group)
    trainer.state.micro_batches = micro_batches
    return trainer


def gradients(trainer: Trainer) -> dict[str, Tensor]:
    """Compute gradients and batch statistics of the first step of each stage."""
    trainer._resume()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():  # in an initial network only the skip connections act, and most gradients are 0
        for p in trainer.networks.parameters():
            p.add_(0.05 * torch.randn(p.shape, generator=generator))
    out = {}
    for number, stage in enumerate(trainer.stages):
        if stage.name in STAGES:
            trainer.state.stage = number
            trainer.optimizer = trainer._new_optimizer(stage)
            trainer.networks.eval()
            stage.module().train()
            trainer._gradients(stage, 0)
            for name, p in stage.module().named_parameters():
                if p.grad is not None:
                    out[f"{stage.name} {name}"] = p.grad.clone()
            out |= {f"{stage.name} {name}": b.clone() for name, b in stage.module().named_buffers()}
    return out


def run_rank(rank: int, port: int, folder: str) -> None:
    """Run in each of two processes: first steps, then a complete run."""
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    group = Group(Ranks(rank=rank, world_size=2))
    actual = gradients(trainer_of(Path(folder) / "none", group, 2))
    torch.save(actual, Path(folder) / f"gradients{rank}.pt")
    trainer = trainer_of(Path(folder) / "run", group, 2)
    trainer.run()
    torch.save(trainer.networks.state_dict(), Path(folder) / f"weights{rank}.pt")
    group.close()


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the results of two processes."""
    folder = tmp_path_factory.mktemp("two")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(run_rank, (port, str(folder)), nprocs=2)
    return folder


def read(path: Path) -> dict[str, Tensor]:
    return dict(torch.load(path, weights_only=True))


def assert_close(actual: dict[str, Tensor], expected: dict[str, Tensor], share: float) -> None:
    assert actual.keys() == expected.keys()
    for name, tensor in expected.items():
        largest = float(tensor.abs().max()) if tensor.numel() else 0.0
        assert torch.allclose(actual[name].double(), tensor.double(), rtol=0, atol=share * largest + 1e-12), name


def test_two_processes_have_the_gradients_of_one_with_the_whole_batch(two: Path, world: World, tmp_path: Path) -> None:
    alone = gradients(trainer_of(tmp_path, Group(), 2, world))
    assert {name.split()[0] for name in alone} == set(STAGES)
    assert all(any(n.startswith(stage) and t.abs().max() > 0 for n, t in alone.items()) for stage in STAGES)
    for rank in range(2):
        assert_close(read(two / f"gradients{rank}.pt"), alone, 1e-5)
    # Half of the batch alone has other gradients.
    half = gradients(trainer_of(tmp_path, Group(), 1, world))
    for stage in STAGES:
        name = next(n for n in alone if n.startswith(stage) and n.endswith("front.0.conv.weight"))
        assert (half[name] - alone[name]).abs().max() > 0.01 * alone[name].abs().max() > 0


def test_two_processes_end_with_the_weights_of_one(two: Path, world: World, tmp_path: Path) -> None:
    trainer_of(tmp_path, Group(), 2, world).run()
    expected = dict(Checkpoint.load(tmp_path / "last").weights)
    first, second = read(two / "weights0.pt"), read(two / "weights1.pt")
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert_close(first, expected, 2e-3)
    assert Checkpoint.load(two / "run" / "last").meta["micro_batches"] == 2
    assert sorted(p.name for p in (two / "run").iterdir()) == sorted(p.name for p in tmp_path.iterdir())


def test_a_run_of_two_processes_can_be_resumed_in_one(two: Path, world: World, tmp_path: Path) -> None:
    """The number of micro-batches belongs to the run, not to the machine."""
    interrupted = trainer_of(tmp_path, Group(), 2, world)
    interrupted.reporter = reporter = RecordingReporter(cancel_after=3)
    with pytest.raises(CancelledError):
        interrupted.run()
    assert len(reporter.progresses) == 3
    trainer_of(tmp_path, Group(), 1, world).run()  # the number comes from the checkpoint
    uninterrupted = tmp_path / "straight"
    trainer_of(uninterrupted, Group(), 2, world).run()
    one, other = Checkpoint.load(tmp_path / "last"), Checkpoint.load(uninterrupted / "last")
    assert all(torch.equal(one.weights[name], other.weights[name]) for name in one.weights)


def test_micro_batches_average_to_the_gradient_of_the_whole_batch(
    scene: CaptureScene, world: World, tmp_path: Path
) -> None:
    """Without batch statistics, the mean over micro-batches is the gradient of the whole batch."""
    trainer = trainer_of(tmp_path, Group(), 1, world)
    stage = next(s for s in trainer.stages if isinstance(s, RootTraining))
    network = trainer.networks.root.eval()
    set_precision(network, None)
    scenes = [root_scenes(trainer.scene, 2, stage.config, np.random.default_rng(n)) for n in range(2)]

    def loss(views: ViewBatch, target: Tensor) -> Tensor:
        return root_loss(network(trainer.scene.unprojector, views.root, views.affine, views.view_weight), target)

    def target(n: int) -> Tensor:
        return root_target(world.volume, scenes[n].roots_mm, scenes[n].visible, 200.0)

    together = torch.autograd.grad(
        loss(ViewBatch.cat([m.views for m in scenes]), torch.cat([target(0), target(1)])), list(network.parameters())
    )
    split_gradients = [
        torch.autograd.grad(loss(scenes[n].views, target(n)), list(network.parameters())) for n in range(2)
    ]
    for whole, one, other in zip(together, *split_gradients, strict=True):
        assert torch.allclose((one + other) / 2, whole, rtol=1e-4, atol=1e-6 * float(whole.abs().max()) + 1e-12)


def test_batch_statistics_are_the_mean_over_micro_batches() -> None:
    norm = torch.nn.BatchNorm1d(3)
    statistics = BatchNormStatistics(norm, 2)
    batches = [torch.randn(8, 3) + n for n in range(2)]
    for batch in batches:
        norm(batch)
        statistics.accumulate()
    statistics.average(Group())
    expected = 0.1 * torch.stack([b.mean(0) for b in batches]).mean(0)
    assert torch.allclose(norm.running_mean, expected, atol=1e-6)
    again = BatchNormStatistics(norm, 2)
    norm(batches[0])
    again.restore()
    assert torch.allclose(norm.running_mean, expected, atol=1e-6)


def test_a_loss_that_is_not_finite_in_one_micro_batch_ends_the_step(world: World, tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path, Group(), 2, world)
    trainer._resume()
    stage = next(s for s in trainer.stages if s.name == "root")
    trainer.state.stage = trainer.stages.index(stage)
    with torch.no_grad():
        next(trainer.networks.root.parameters()).fill_(float("nan"))
    with pytest.raises(CoreError, match="not finite at step 0"):
        trainer._gradients(stage, 0)
