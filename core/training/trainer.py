"""Training loop over the stages, with measurement on held-out frames and checkpoints to resume from."""

from __future__ import annotations

import dataclasses
import math
import time
from pathlib import Path

import torch
from torch import Tensor

from core.config import from_mapping, to_mapping
from core.datasets.footage import Footage
from core.datasets.split import held_out_camera
from core.errors import CancelledError, CoreError
from core.models.checkpoint import Checkpoint, load_initial_weights
from core.models.device import describe_device, pick_precision, set_precision
from core.models.distributed import Group
from core.models.networks import Networks
from core.models.scene import CaptureScene
from core.progress import Reporter
from core.training.config import TrainConfig
from core.training.parallel import BatchNormStatistics
from core.training.preview import HeldOutPreview
from core.training.stages.backbone import advice
from core.training.stages.registry import build_stages
from core.training.stages.stage import TrainingStage
from core.training.state import TrainingState, optimizer_tensors, restore_optimizer, step_rng
from core.training.synthetic import root_relative_joints
from core.training.validation import held_out_px
from core.types.volume import CaptureVolume

_REPORT_EVERY = 5
_PRIOR_BODIES = 4000
_TIME_SHARE = {
    "backbone": 4.0,
    "root": 2.0,
    "pose_synthetic": 3.0,
    "ray_refiner": 1.0,
    "temporal": 1.0,
    "pose": 3.0,
    "finetune": 1.0,
}
"""Relative parts of the time limit for the stages that have steps."""


_MEASURED = ("pose_synthetic", "ray_refiner", "pose", "finetune")
"""Stages with a measurement of the held-out error."""
_FROM_NOISE = (
    "The backbone starts from noise: from one take it learns these images and hardly others. Set "
    "model.backbone.weights to a Pose-ResNet or ResNet file, or model.heatmap.source to joints."
)
_UNTRAINED_RAY_REFINER = (
    "The ray refiner is not trained, so it is weighted triangulation. Set ray_refiner.steps to a few thousand, or "
    "start from the shipped networks (start=shipped)."
)


class Trainer:
    """Trainer of the networks on a rig and its footage.

    Args:
        config: Settings of training.
        footage: Rig, detections, labels and split.
        volume: Capture volume of the root network.
        folder: Folder of the checkpoints; a run resumes from `last` in it.
        device: Device to train on.
        reporter: Receives progress, losses and metrics.
        group: Processes that train together.
        preview: Preview of a held-out frame, updated at every validation; None for none.

    Raises:
        CoreError: A setting is invalid, or requires heatmaps, images or joints that the footage lacks.
    """

    def __init__(
        self,
        config: TrainConfig,
        footage: Footage,
        volume: CaptureVolume,
        folder: Path,
        device: torch.device,
        reporter: Reporter,
        group: Group | None = None,
        preview: HeldOutPreview | None = None,
    ) -> None:
        self._preview = preview
        self.group = Group() if group is None else group
        from_mapping(TrainConfig, to_mapping(config), "training.")  # validates settings that were built in code
        if config.model.heatmap.source == "estimator" and footage.maps is None:
            raise CoreError("This footage has no stored heatmaps.", "Train with model.heatmap.source=joints.")
        if config.model.heatmap.source == "backbone" and footage.images is None:
            raise CoreError("This footage has no images.", "Train with model.heatmap.source=joints.")
        if footage.inputs.skeleton.name != config.model.skeleton:
            raise CoreError(
                f"The footage has the joints '{footage.inputs.skeleton.name}', and the settings ask for "
                f"'{config.model.skeleton}'.",
                f"Set model.skeleton={footage.inputs.skeleton.name}.",
            )
        attended = [s for s in (config.pose, config.finetune) if s.steps and s.attention == "network"]
        if attended and not (config.model.attention_net and config.model.heatmap.source == "backbone"):
            raise CoreError(
                "The attention network needs images, and these networks read 2D joints.",
                "Set pose.attention and finetune.attention to 'closed', or model.heatmap.source to 'backbone' and"
                " model.attention_net to true.",
            )
        self.config, self.footage, self.folder, self.reporter = config, footage, folder, reporter
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.networks = Networks(config.model)
        bodies = root_relative_joints(_PRIOR_BODIES, step_rng(config.seed, 0, 0), self.networks.skeleton)
        self.networks.pose.prior.fit(torch.tensor(bodies, dtype=torch.float32))
        if self.networks.backbone is not None and config.model.backbone.weights:
            missing = self.networks.backbone.load_initial(Path(config.model.backbone.weights), self.networks.skeleton)
            reporter.note(
                f"Backbone initialised from {Path(config.model.backbone.weights).name}; {len(missing)} new parameters."
            )
        elif self.networks.backbone is not None:
            reporter.note(_FROM_NOISE, "warning")
        if config.start:
            load_initial_weights(self.networks, config.start, config.name)
        elif self.networks.ray_refiner is not None and not config.ray_refiner.steps:
            reporter.note(_UNTRAINED_RAY_REFINER, "warning")
        self.networks.to(device)
        set_precision(self.networks, pick_precision(device, config.precision))
        self.scene = CaptureScene(footage.rig, volume, config.model, device)
        self.unseen = held_out_camera(footage.rig.names, config.split)
        visible = footage if self.unseen is None or config.split.train_on_camera else footage.without(self.unseen)
        self.stages: tuple[TrainingStage, ...] = build_stages(config, self.networks, self.scene, visible)
        self.total_steps = sum(stage.steps for stage in self.stages)
        self.state = TrainingState(seed=config.seed, micro_batches=self.group.ranks.world_size)
        self.optimizer: torch.optim.Optimizer = self._new_optimizer(self.stages[0])
        self._attempt_started = self._last_saved = time.monotonic()
        self._elapsed_before = 0.0

    def run(self) -> TrainingState:
        """Train to the end and return the final state.

        Raises:
            CancelledError: The reporter asked to stop; a checkpoint was written.
            CoreError: A loss is not finite, or the checkpoint to resume from belongs to another run.
        """
        self._resume()
        together = f", {self.group.ranks.world_size} processes together" if self.group.ranks.world_size > 1 else ""
        self.reporter.note(f"Training on {describe_device(self.scene.device)}{together}.")
        while self.state.stage < len(self.stages):
            stage = self.stages[self.state.stage]
            self._run_stage(stage)
            self.state.stage, self.state.step = self.state.stage + 1, 0
            if self.state.stage < len(self.stages):
                self.optimizer = self._new_optimizer(self.stages[self.state.stage])
            self._save("last")
        self._finish()
        return self.state

    def _run_stage(self, stage: TrainingStage) -> None:
        self.networks.eval()
        stage.module().train()
        if stage.steps and self.state.step == 0 and stage.name in _MEASURED:
            self._measure(stage)  # baseline before this stage
        while self.state.step < stage.steps:
            over, stop = self.group.all_reduce_any(
                self.group.is_main and self._out_of_time(stage), self.reporter.cancelled()
            )
            if over:
                break
            if stop:
                self._save("last")
                raise CancelledError
            self._step(stage)
            self.state.step += 1
            self.state.steps_done += 1
            self._report(stage)
            if self.state.step % self.config.measure_every == 0 or self.state.step == stage.steps:
                self._measure(stage)
            if time.monotonic() - self._last_saved > self.config.checkpoint_s:
                self._save("last")

    def _step(self, stage: TrainingStage) -> None:
        step, steps = self.state.step, stage.steps
        for group in self.optimizer.param_groups:
            group["lr"] = stage.learning_rate * _schedule(step, steps, self.config.warmup)
        losses = self._gradients(stage, step)
        torch.nn.utils.clip_grad_norm_(stage.module().parameters(), self.config.clip_gradient)
        self.optimizer.step()
        if step % _REPORT_EVERY == 0 or step == steps - 1:
            for name, value in losses.items():
                self.reporter.metric(f"{stage.name}/{name}", float(value.detach()), self.state.steps_done)

    def _gradients(self, stage: TrainingStage, step: int) -> dict[str, Tensor]:
        """Compute the losses of a step and their gradients, with a smaller batch if memory runs out."""
        while True:
            self.optimizer.zero_grad(set_to_none=True)
            statistics = BatchNormStatistics(stage.module(), self.state.micro_batches)
            losses, error, finite = self._attempt(stage, step, statistics)
            out_of_memory, infinite = self.group.all_reduce_any(error is not None, not finite)
            if infinite:
                raise CoreError(
                    f"The loss of stage {stage.name} is not finite at step {step}.",
                    "Lower the learning_rate of the stage, and check the rig on the Calibrate page.",
                )
            if not out_of_memory:
                self.group.all_reduce_gradients(stage.module())
                statistics.average(self.group)
                return losses
            if not stage.reduce_batch():
                raise error or CoreError("Another process ran out of memory.", "Train smaller networks.")
            del error
            statistics.restore()
            self.state.reduced_stages = (*self.state.reduced_stages, stage.name)
            self.optimizer.zero_grad(set_to_none=True)
            if self.scene.device.type == "cuda":
                torch.cuda.empty_cache()
            self.reporter.note(f"Out of memory: stage {stage.name} continues with half the batch.", "warning")

    def _attempt(
        self, stage: TrainingStage, step: int, statistics: BatchNormStatistics
    ) -> tuple[dict[str, Tensor], RuntimeError | None, bool]:
        """Return mean losses of this process's micro-batches, an out-of-memory error, and whether all are finite."""
        parts, total = self.group.ranks.share(range(self.state.micro_batches)), self.state.micro_batches
        means: dict[str, Tensor] = {}
        try:
            for part in parts:
                losses = stage.losses(step_rng(self.config.seed, self.state.stage, step, part), step)
                if not math.isfinite(float(losses["loss"].detach())):
                    return {}, None, False
                torch.autograd.backward(losses["loss"] / total if total > 1 else losses["loss"])
                statistics.accumulate()
                for name, value in losses.items():
                    means[name] = means.get(name, 0) + value.detach() / len(parts)
        except RuntimeError as error:  # base class of torch.OutOfMemoryError and of the CPU allocator's error
            if not _out_of_memory(error):
                raise
            return {}, error, True
        return means, None, True

    def _report(self, stage: TrainingStage) -> None:
        text = f"{stage.title}: step {self.state.step} of {stage.steps}"
        self.reporter.progress(self.state.steps_done, self.total_steps, text)

    def _measure(self, stage: TrainingStage) -> None:
        """Measure metrics of the stage and, from the pose stages on, the held-out error; keep the best checkpoint."""
        if self.group.is_main:
            self._measure_here(stage)
        self.group.broadcast_weights(stage.module())

    def _measure_here(self, stage: TrainingStage) -> None:
        rng = step_rng(self.config.seed, len(self.stages) + self.state.stage, self.state.step)
        self.networks.eval()
        metrics = stage.metrics(rng)
        for name, value in metrics.items():
            self.reporter.metric(f"{stage.name}/{name}", value, self.state.steps_done)
        if "peaks_near" in metrics and self.state.step == stage.steps and advice(metrics["peaks_near"]):
            self.reporter.note(advice(metrics["peaks_near"]), "warning")
        if stage.name in _MEASURED and len(self.footage.held_out):
            if self._preview is not None:
                self._preview.update(self.networks, self.scene, self.state.steps_done)
            px = held_out_px(self.networks, self.scene, self.footage, self.config.measure_frames)
            if math.isfinite(px):
                self.reporter.metric("held_out/px", px, self.state.steps_done)
                unseen = self._unseen_px()
                if math.isfinite(unseen):
                    # Images of a held-out camera cannot be memorised: both errors count equally.
                    self.reporter.metric("held_out/camera_px", unseen, self.state.steps_done)
                    px = (px + unseen) / 2
                if self.state.best_px is None or px < self.state.best_px:
                    self.state.best_px, self.state.best_stage = px, stage.name
                    self._save("best")
        stage.module().train()

    def _unseen_px(self) -> float:
        """Measure the held-out error in a camera hidden from the networks; NaN without one."""
        if self.unseen is None:
            return math.nan
        return held_out_px(self.networks, self.scene, self.footage, self.config.measure_frames, unseen=self.unseen)

    def _finish(self) -> None:
        """Keep the last weights as the best ones if nothing was held out."""
        if self.group.is_main and not Checkpoint.exists(self.folder / "best"):
            self._save("best")

    def _out_of_time(self, stage: TrainingStage) -> bool:
        shares = [_TIME_SHARE[s.name] if s.steps else 0.0 for s in self.stages]
        limit_s = 60 * self.config.max_minutes * sum(shares[: self.state.stage + 1]) / sum(shares)
        if self._elapsed_s() < limit_s:
            return False
        self.reporter.note(
            f"Stage {stage.name} ended at step {self.state.step} of {stage.steps}: its share of "
            f"{self.config.max_minutes:g} minutes is used up.",
            "warning",
        )
        return True

    def _elapsed_s(self) -> float:
        return self._elapsed_before + time.monotonic() - self._attempt_started

    def _new_optimizer(self, stage: TrainingStage) -> torch.optim.Optimizer:
        return torch.optim.Adam(stage.module().parameters(), lr=stage.learning_rate)

    def _save(self, name: str) -> None:
        if not self.group.is_main:
            return
        self.state.elapsed_s = self._elapsed_s()
        at = self.state.stage
        self.state.stage_name = self.stages[at].name if at < len(self.stages) else ""
        Checkpoint(
            weights=self.networks.state_dict(),
            config=self.config.model,
            volume=self.scene.volume,
            meta=to_mapping(self.state),
            optimizer=optimizer_tensors(self.optimizer) if name == "last" else {},
        ).save(self.folder / name)
        if name == "last":
            self._last_saved = time.monotonic()

    def _resume(self) -> None:
        """Resume from the last checkpoint, if any, and divide the steps among the processes."""
        resumable = Checkpoint.exists(self.folder / "last")
        if resumable:
            self._restore()
        for stage in self.stages:
            stage.set_micro_batches(self.state.micro_batches)
        for name in self.state.reduced_stages:
            next(s for s in self.stages if s.name == name).reduce_batch()
        self.group.barrier()  # the main process may overwrite the checkpoint soon

    def _restore(self) -> None:
        saved = Checkpoint.load(self.folder / "last")
        if saved.config != self.config.model or saved.meta.get("seed") != self.config.seed:
            raise CoreError(
                f"The checkpoint in {self.folder} belongs to other settings.", "Start a new run to use new settings."
            )
        self.networks.load_state_dict(dict(saved.weights))
        self.state = dataclasses.replace(TrainingState.from_meta(saved.meta))
        if self.state.stage_name:
            self.state.stage = self._stage_index(self.state.stage_name)
        self._elapsed_before = self.state.elapsed_s
        if self.state.stage < len(self.stages):
            self.optimizer = self._new_optimizer(self.stages[self.state.stage])
            restore_optimizer(self.optimizer, saved.optimizer)
            stage = self.stages[self.state.stage]
            self.reporter.note(f"Resuming at step {self.state.step} of stage {stage.name}.")

    def _stage_index(self, stage_name: str) -> int:
        names = [stage.name for stage in self.stages]
        if stage_name not in names:
            raise CoreError(
                f"The checkpoint in {self.folder} is in an unknown stage: '{stage_name}'.",
                "Start a new run, or continue with the version of the program that began it.",
            )
        return names.index(stage_name)


def _out_of_memory(error: RuntimeError) -> bool:
    """Return whether an error means that GPU or main memory ran out."""
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in text or "can't allocate memory" in text


def _schedule(step: int, steps: int, warmup: float) -> float:
    """Return the factor on the learning rate: linear warm-up, then half a cosine."""
    rise = min(1.0, (step + 1) / max(1.0, warmup * steps))
    return rise * 0.5 * (1 + math.cos(math.pi * step / max(1, steps)))
