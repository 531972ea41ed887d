"""Live page: real-time 3D people of running cameras."""

from studio.pages.live.presenter import live_step
from studio.specs import PageSpec

PAGE = PageSpec(
    name="live",
    title="Live",
    summary="See people in 3D in real time",
    icon="person",
    shortcut="Ctrl+6",
    factory="studio.pages.live.page:LivePage",
    guide=(
        "People of running, calibrated cameras in 3D in real time, as bodies once their shape is known. The latency "
        "is the age of the newest image used. VMC sends the people to Unity, Unreal, Blender or Godot."
    ),
    keys=(("Live page", (("Bodies", "M"),)),),
    verbs=("live",),
    status=live_step,
)
