"""View page: a take in 3D and in the camera images, frame by frame."""

from studio.specs import PageSpec
from studio.state.steps import results_state

PAGE = PageSpec(
    name="view",
    title="View",
    summary="Inspect people in 3D",
    icon="view",
    shortcut="Ctrl+4",
    factory="studio.pages.view.page:ViewPage",
    status=results_state,
    landing=True,
    keys=(
        ("Play or pause", "Space"),
        ("Previous or next frame", "Left  or  Right"),
        ("Back or forward 10 frames", "Shift+Left  or  Shift+Right"),
        ("Go to start or end", "Home  or  End"),
        ("Perspective, top, front, side view", "1  2  3  4"),
        ("Frame all", "F"),
        ("Skeletons, trails, names", "S  T  N"),
        ("Cameras, camera images", "C  I"),
        ("Floor, capture volume, expected accuracy", "G  B  A"),
        ("On the videos: 2D detections, floor", "D  H"),
    ),
)
