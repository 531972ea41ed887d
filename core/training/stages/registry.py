"""Training stages in their order; a stage is a module of this package and one line here."""

from __future__ import annotations

from collections.abc import Callable

from core.datasets.footage import Footage
from core.models.networks import Networks
from core.models.scene import CaptureScene
from core.training.config import TrainConfig
from core.training.rigs import SyntheticRigs
from core.training.stages.backbone import BackboneTraining
from core.training.stages.body import PoseSyntheticTraining, RayRefinerTraining
from core.training.stages.pose import PoseTraining
from core.training.stages.root import RootTraining
from core.training.stages.stage import TrainingStage
from core.training.stages.temporal import TemporalTraining

Builder = Callable[[TrainConfig, Networks, CaptureScene, Footage, SyntheticRigs], TrainingStage]
STAGES: dict[str, Builder] = {
    "backbone": lambda c, networks, scene, footage, _: BackboneTraining(c.backbone, networks, scene, footage),
    "root": lambda c, networks, scene, footage, rigs: RootTraining(c.root, networks, scene, footage, rigs),
    "pose_synthetic": lambda c, networks, scene, _, rigs: PoseSyntheticTraining(
        c.pose_synthetic, networks, scene, rigs
    ),
    "ray_refiner": lambda c, networks, scene, _, rigs: RayRefinerTraining(c.ray_refiner, networks, scene, rigs),
    "temporal": lambda c, networks, scene, _, rigs: TemporalTraining(c.temporal, networks, scene, rigs),
    "pose": lambda c, networks, scene, footage, _: PoseTraining(c.pose, networks, scene, footage),
    "finetune": lambda c, networks, scene, footage, _: PoseTraining(
        c.finetune, networks, scene, footage, name="finetune"
    ),
}
"""Functions that build the stages, by name."""


def build_stages(
    config: TrainConfig, networks: Networks, scene: CaptureScene, footage: Footage
) -> tuple[TrainingStage, ...]:
    """Build every stage; the trainer skips those without steps."""
    rigs = SyntheticRigs(scene, config.rigs, config.model, config.seed)
    return tuple(build(config, networks, scene, footage, rigs) for build in STAGES.values())
