"""View page: a take in 3D and over the camera images."""

from studio.pages.view.options import EXPORT_VIDEO, SAVE_PICTURE, shortcuts
from studio.specs import PageSpec
from studio.state.steps import results_state

PAGE = PageSpec(
    name="view",
    title="View",
    summary="Inspect people in 3D",
    icon="view",
    shortcut="Ctrl+4",
    factory="studio.pages.view.page:ViewPage",
    steps=("fit-body",),
    verbs=("fit-body", "film"),
    guide=(
        "People in 3D and over the videos, frame by frame. Choose a result, and another one to compare it with; the "
        "space bar plays. Fit bodies gives people a mesh: the free body, or a model of the SMPL family that you add."
    ),
    status=results_state,
    landing=True,
    keys=shortcuts(),
    actions=(SAVE_PICTURE, EXPORT_VIDEO),
)
