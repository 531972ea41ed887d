"""Live page: people of running cameras in 3D while they move."""

from studio.pages.live.presenter import live_step
from studio.specs import PageSpec

PAGE = PageSpec(
    name="live",
    title="Live",
    summary="See people in 3D at once",
    icon="person",
    shortcut="Ctrl+6",
    factory="studio.pages.live.page:LivePage",
    guide=(
        "People of running, calibrated cameras in 3D while they move, as bodies once their shape is known. The latency "
        "is the age of the newest image behind what is drawn. VMC sends the people to Unity, Unreal, Blender or Godot."
    ),
    verbs=("live",),
    status=live_step,
)
