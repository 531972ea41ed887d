"""Export to this program's `rig.toml`, which Anipose, Pose2Sim and sleap-io read too."""

from __future__ import annotations

from core.rig_io.exporters.exporter import Rendered, RigExporter
from core.types.camera import CameraRig


def _render(rig: CameraRig) -> Rendered:
    return Rendered(texts={"": rig.to_toml()})


EXPORTER = RigExporter(
    name="selfpose",
    title="This program's rig.toml",
    summary="Millimetres, z up. Holds everything, including time offsets. Read by Anipose and sleap-io.",
    default_name="rig.toml",
    suffixes=(".toml",),
    render=_render,
)
