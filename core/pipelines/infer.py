"""Verb `infer`: 3D poses of a take with trained or shipped networks, stored with their provenance."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core import __version__
from core.config import to_mapping
from core.errors import CoreError
from core.evaluation.identity import people_per_frame
from core.files import resource
from core.pipelines.params import InferParams
from core.pipelines.volume import training_volume
from core.pose2d.choice import choose_poses2d
from core.progress import Reporter
from core.registry import closest
from core.session import RunLayout, Session, Take
from core.session.inputs import input_digests, outdated_training, world_of_training
from core.session.status import trained_runs
from core.tracking.smooth import smooth
from core.tracking.track import note_discarded
from core.training.presets import SHIPPED_PRESETS, preset

if TYPE_CHECKING:  # torch takes 240 MB, also where there are no networks to evaluate
    from core.models.distributed import Group
    from core.reconstruction.predictor import Predictor


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedNetworks:
    """Networks ready for inference: those of a training run of the session, or those that the program ships.

    Results of shipped networks are stored under the name of their preset, which no run can have.

    Attributes:
        name: Name of their results: that of the run, or of the preset of shipped networks.
        run: The training run; None for shipped networks.
    """

    name: str
    run: RunLayout | None

    def load(self, session: Session, take: str, reporter: Reporter, **options: Any) -> Predictor:
        """Load the networks; shipped ones search the capture volume of the take.

        Networks that were trained here work in the world coordinates of their training. If the calibration has changed
        otherwise since, this is said.

        Args:
            session: Session of the take.
            take: Name of the take.
            reporter: Receives notes.
            options: Further options of `Predictor`.

        Raises:
            CoreError: As `Predictor.load` and `training_volume`.
        """
        from core.models.checkpoint import Checkpoint
        from core.models.device import pick_device
        from core.reconstruction.predictor import Predictor

        if self.run is not None:
            for message in outdated_training(session, self.run):
                reporter.note(f"{self.name}: {message} Train again to fit them.", "warning")
            predictor = Predictor.load(self.run, **options)
            predictor.world = world_of_training(session, self.run)
            return predictor
        device, config = pick_device("auto"), preset(self.name)
        chosen = training_volume(session, [take], config, reporter)
        volume = chosen.volume(chosen.spacing_mm or config.model.root.spacing_mm)
        networks = Checkpoint.load(resource("weights", f"networks_{self.name}")).build(device)
        return Predictor(networks, volume, device, self.name, **options)


def choose_networks(session: Session, run: str, model: str, take: Take | None = None) -> TrainedNetworks | None:
    """Return the networks that a user asked for, or else those of the newest finished training, or None.

    Args:
        session: The session.
        run: Name of a training run; empty for none.
        model: Name of shipped networks; empty for none.
        take: Take whose results of shipped networks count, if nothing was asked for and trained.

    Raises:
        CoreError: Both are given, there are no such networks, or the run has none.
    """
    if run and model:
        raise CoreError(
            f"Both the run '{run}' and the shipped networks '{model}' were given.", "Choose one of the two."
        )
    if model:
        if model not in SHIPPED_PRESETS:
            raise CoreError(f"The program ships no networks named '{model}'.", closest(model, list(SHIPPED_PRESETS)))
        return TrainedNetworks(name=model, run=None)
    if run:
        folder = session.layout.run(run)
        if not folder.checkpoints.is_dir():
            raise CoreError(f"Run '{run}' has no trained networks.", "Choose a finished training run.")
        return TrainedNetworks(name=run, run=folder)
    runs = trained_runs(session)
    if runs:
        return TrainedNetworks(name=runs[-1].name, run=runs[-1])
    shipped = [name for name in (take.poses3d_runs() if take else ()) if name in SHIPPED_PRESETS]
    return TrainedNetworks(name=shipped[-1], run=None) if shipped else None


def run_infer(session: Session, params: InferParams, run: RunLayout, reporter: Reporter) -> dict[str, Any]:
    """Predict and track the people of a take, smooth them if configured, and store them under the networks' name.

    Returns:
        model, file, people, people_per_frame (number of frames by number of people), device.

    Raises:
        CoreError: There are no such networks, or the take has no 2D poses.
        CancelledError: The job was cancelled.
    """
    from core.models.device import process_count
    from core.models.distributed import process_group

    with process_group(process_count(params.processes), run.root) as group:
        return _infer(session, params, group, reporter)


def _infer(session: Session, params: InferParams, group: Group, reporter: Reporter) -> dict[str, Any]:
    take = session.take(params.take)
    rig = session.rig_for(take)
    model = choose_networks(session, params.run, params.model)
    if model is None:
        raise CoreError(
            "The session has no trained run.", "Train the networks first, or use shipped ones: --model fast."
        )
    estimator = choose_poses2d([take], params.estimator, reporter)
    inputs = input_digests(take, estimator, rig)
    predictor = model.load(session, take.name, reporter, precision=params.precision, temporal=params.temporal)
    sequence = predictor.reconstruct_take(take, rig, estimator, reporter, tracking=params.tracking, group=group)
    if not group.is_main:
        return {}
    provenance = {
        **sequence.provenance,
        **inputs.to_provenance(),
        "networks": "shipped" if model.run is None else "trained",
        "take": take.name,
        "tracking": to_mapping(params.tracking),
        "code_version": __version__,
    }
    sequence = smooth(dataclasses.replace(sequence, provenance=provenance), params.tracking)
    file = take.layout.poses3d(model.name)
    sequence.save(file)
    note_discarded(sequence, params.tracking, reporter)
    return {
        "model": model.name,
        "file": str(file),
        "people": len(sequence.person_ids),
        "people_per_frame": people_per_frame(sequence),
        "device": predictor.runs_on,
    }
