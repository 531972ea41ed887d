"""Verb `infer`: 3D poses of a take by trained or shipped networks."""

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

if TYPE_CHECKING:  # torch takes 240 MB of memory, even without networks to evaluate
    from core.models.distributed import Group
    from core.reconstruction.predictor import Predictor


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedNetworks:
    """Networks for inference, of a training run or shipped with the program.

    Results of shipped networks are stored under the name of their preset, which cannot be the name of a run.

    Attributes:
        name: Name of the results: that of the run or of the preset.
        run: Training run; None for shipped networks.
    """

    name: str
    run: RunLayout | None

    def load(self, session: Session, take: str, reporter: Reporter, **options: Any) -> Predictor:
        """Load the networks; for shipped ones, the capture volume is that of the take.

        Trained networks operate in the world coordinates of their training. Other changes of the calibration since then
        are noted.

        Args:
            session: Session of the take.
            take: Name of the take.
            reporter: Receives notes.
            options: Additional options of `Predictor`.

        Raises:
            CoreError: See `Predictor.load` and `training_volume`.
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
    """Return the requested networks, or else those of the newest finished training, or None.

    Args:
        session: The session.
        run: Name of a requested training run; empty for none.
        model: Name of requested shipped networks; empty for none.
        take: Take whose existing results of shipped networks determine the choice if nothing is requested or trained.

    Raises:
        CoreError: Both are requested, or the networks do not exist.
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
    """Predict, track and optionally smooth the people of a take, and store them under the name of the networks.

    Returns:
        `model`, `file`, `people`, `people_per_frame` (number of frames by number of people) and `device`.

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
