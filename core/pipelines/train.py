"""Verb `train`: training on takes of the session; the run is the model."""

from __future__ import annotations

import dataclasses
import math
from contextlib import ExitStack
from typing import Any

from core.config import to_mapping
from core.datasets.footage import Footage, PseudoLabels
from core.datasets.heatmaps import StoredHeatmaps
from core.datasets.images import StoredImages
from core.datasets.poses2d import MultiviewPoses2D
from core.datasets.split import held_out_camera
from core.datasets.take_images import cached_images
from core.errors import CoreError
from core.files import write_yaml
from core.models.device import describe_device, pick_device, process_count
from core.models.distributed import Group, process_group
from core.pipelines.params import TrainParams
from core.pipelines.volume import pinned_volume, with_volume
from core.pose2d.choice import choose_poses2d
from core.pose2d.heatmaps import open_heatmaps
from core.progress import Reporter
from core.reconstruction.triangulated import Triangulator
from core.session import BASELINE, RunLayout, Session, Take
from core.session.inputs import (
    UPDATE,
    outdated_second_look,
    outdated_training,
    require_current,
    save_training_inputs,
    world_of_training,
)
from core.training.config import TrainConfig
from core.training.preview import HeldOutPreview
from core.training.trainer import Trainer
from core.training.validation import triangulated_px
from core.types.camera import CameraRig
from core.types.pose3d import Pose3DSequence
from core.types.skeleton import skeleton


def run_train(session: Session, params: TrainParams, run: RunLayout, reporter: Reporter) -> dict[str, Any]:
    """Train on takes with 2D poses and a baseline; an interrupted run resumes from its checkpoint.

    No 3D labels are used: the baseline filters the 2D pseudo labels and bounds the capture volume.

    Returns:
        `steps`, `minutes`, `held_out_px` (best value, before refinement), `best_stage`, `device`, `processes` and
        `volume`.

    Raises:
        CoreError: A take is not ready, or training failed.
        CancelledError: The job was stopped; a checkpoint was written.
    """
    with process_group(process_count(params.processes, params.training.device), run.root) as group:
        return _train(session, params, params.training, run, group, reporter)


def _train(
    session: Session,
    params: TrainParams,
    config: TrainConfig,
    run: RunLayout,
    group: Group,
    reporter: Reporter,
) -> dict[str, Any]:
    device = pick_device(config.device)
    takes = _takes(session, params)
    params = dataclasses.replace(params, estimator=choose_poses2d(takes, params.estimator, reporter))
    for message in filter(None, (outdated_second_look(session, take, params.estimator) for take in takes)):
        reporter.note(f"{message} {UPDATE}", "warning")
    rig = session.rig_for_all(takes)
    world = None
    if run.checkpoints.is_dir() and any(run.checkpoints.iterdir()):
        if messages := outdated_training(session, run):
            raise CoreError(
                f"This training cannot be resumed. {' '.join(messages)}",
                "Start a new one, or return to the former calibration: 'calibrations' lists them.",
            )
        world = world_of_training(session, run)
        rig = rig if world is None else CameraRig.load(run.rig)
    with group.rank_zero_first():
        chosen = pinned_volume(session, params.takes, config, run, reporter)
    config = with_volume(config, chosen)
    if group.is_main:
        save_training_inputs(run, takes, params.estimator, rig)
        write_yaml(run.config, to_mapping(dataclasses.replace(params, training=config)))
    reporter.progress(0, 1, "Reading 2D poses")
    with ExitStack() as opened:
        maps: list[StoredHeatmaps] = []
        if config.model.heatmap.source == "estimator":
            joints = skeleton(config.model.skeleton)
            readers = [opened.enter_context(open_heatmaps(take, params.estimator, rig)) for take in takes]
            maps = [StoredHeatmaps(views, joints) for views in readers]
        images = []
        if config.model.heatmap.source == "backbone":
            with group.rank_zero_first():
                images = [cached_images(take, rig, config.model, reporter) for take in takes]
        baselines = [take.poses3d(BASELINE) for take in takes]
        baselines = baselines if world is None else [world.poses(baseline) for baseline in baselines]
        footage = _footage(rig, takes, baselines, params.estimator, config, maps, images, reporter)
        preview = HeldOutPreview(run.held_out_frame, footage, takes, baselines)
        volume = chosen.volume(config.model.root.spacing_mm)
        trainer = Trainer(config, footage, volume, run.checkpoints, device, reporter, group, preview)
        state = trainer.run()
    return {
        "steps": state.steps_done,
        "minutes": round(state.elapsed_s / 60, 2),
        "held_out_px": None if state.best_px is None else round(state.best_px, 2),
        "best_stage": state.best_stage,
        "device": describe_device(device),
        "processes": group.ranks.world_size,
        "volume": trainer.scene.volume.to_mapping(),
    }


def _takes(session: Session, params: TrainParams) -> list[Take]:
    if not params.takes:
        raise CoreError("No take to train on.", "Name at least one take with 2D poses and a baseline.")
    takes = [session.take(name) for name in params.takes]
    for take in takes:
        if BASELINE not in take.poses3d_runs():
            raise CoreError(f"Take {take.name} has no baseline.", "Run 'triangulate' on the take first.")
    require_current(session, takes, [BASELINE])
    return takes


def _footage(
    rig: CameraRig,
    takes: list[Take],
    baselines: list[Pose3DSequence],
    estimator: str,
    config: TrainConfig,
    maps: list[StoredHeatmaps],
    images: list[StoredImages],
    reporter: Reporter,
) -> Footage:
    """Collect inputs, pseudo labels and split of all takes."""
    inputs, labels, times_s, joints = [], [], [], skeleton(config.model.skeleton)
    unseen = held_out_camera(rig.names, config.split)
    for take, baseline in zip(takes, baselines, strict=True):
        poses2d = take.poses2d(estimator, rig)
        time_s = take.timeline().time_s
        times_s.append(time_s)
        inputs.append(MultiviewPoses2D.stack(rig, poses2d, joints))
        if config.labels == "raw":
            labels.append(PseudoLabels.raw(inputs[-1]))
            continue
        if unseen is not None and not config.split.train_on_camera:
            triangulator = Triangulator.from_baseline(baseline.provenance)
            baseline = triangulator.reconstruct(rig, poses2d, time_s, reporter, exclude_camera=rig.names[unseen])
        labels.append(PseudoLabels.clean(rig, poses2d, baseline, joints))
    footage = Footage.build(rig, inputs, labels, times_s, config.split, maps, images)
    if not footage.labels.weight[footage.held_out].any():
        reporter.note(
            "There are no people in the held-out frames: the networks are not evaluated, and the last ones are kept. "
            "Train on a longer take to evaluate them.",
            "warning",
        )
    elif len(footage.held_out):
        px = triangulated_px(baselines, footage, joints, config.measure_frames)
        if math.isfinite(px):
            reporter.metric("held_out/triangulated_px", px, 0)
    return footage
