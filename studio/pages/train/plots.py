"""Plots of a training: grouping and labels of metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """Plot of training metrics, which are named `stage/name`.

    Attributes:
        title: Title of the plot.
        unit: Unit of the vertical axis.
        stage: Stage of the metrics.
        only: Names of the metrics to show; empty for all of the stage.
        logarithmic: True for a logarithmic vertical axis.
        labels: Legend text by metric name, if different from the name.
        reference: Metric drawn as a reference level; empty for none.
    """

    title: str
    unit: str
    stage: str
    only: tuple[str, ...] = ()
    logarithmic: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    reference: str = ""

    def shows(self, metric: str) -> bool:
        """Return whether a metric belongs to this plot."""
        stage, _, name = metric.partition("/")
        return stage == self.stage and (name in self.only if self.only else True)


_POSE = ("loss", "heatmap", "joint", "anchor", "consistency", "attention", "planes", "backbone")
LOSS_NAMES = {
    "loss": "all together",
    "heatmap": "joints in the images",
    "joint": "joints of people",
    "anchor": "near triangulation",
    "consistency": "agreement of versions",
    "attention": "pixel weights",
    "planes": "volume from three sides",
    "backbone": "image network",
    "synthetic": "synthetic people",
}
"""Short legend text of each part of a loss."""
PLOTS = (
    Plot(
        title="2D error on held-out frames",
        unit="px",
        stage="held_out",
        labels={"px": "all cameras", "camera_px": "held-out camera", "triangulated_px": "triangulation"},
        reference="triangulated_px",
    ),
    Plot(title="Pose network, own footage", unit="loss", stage="pose", only=_POSE, logarithmic=True, labels=LOSS_NAMES),
    Plot(
        title="Fine-tuning, confident 2D poses",
        unit="loss",
        stage="finetune",
        only=_POSE,
        logarithmic=True,
        labels=LOSS_NAMES,
    ),
    Plot(
        title="Temporal refiner, synthetic motion",
        unit="mm",
        stage="temporal",
        only=("mm", "start_mm"),
        labels={"mm": "refined", "start_mm": "before"},
    ),
    Plot(
        title="Ray refiner, synthetic people",
        unit="mm",
        stage="ray_refiner",
        only=("mm", "start_mm"),
        labels={"mm": "refined", "start_mm": "before"},
    ),
    Plot(title="Pose network, synthetic people", unit="mm", stage="pose_synthetic", only=("mm",)),
    Plot(
        title="Root network, own rig",
        unit="loss",
        stage="root",
        only=("loss", "synthetic", "consistency"),
        logarithmic=True,
        labels=LOSS_NAMES,
    ),
    Plot(title="Recall of synthetic people", unit="share", stage="root", only=("synthetic_recall",)),
    Plot(
        title="Backbone, own images", unit="loss", stage="backbone", only=("loss",), logarithmic=True, labels=LOSS_NAMES
    ),
    Plot(title="Joints detected by the backbone", unit="share", stage="backbone", only=("peaks_near",)),
)
"""Plots, the last stage first because its results matter most. Plots without data are hidden."""
