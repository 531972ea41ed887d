"""Toggles, views and shortcuts of the View page."""

from __future__ import annotations

from typing import get_args

from studio.specs import ActionSpec, KeySection
from studio.theme import Theme
from studio.viewport.camera import ViewName
from studio.viewport.layers.skeletons import SHOW_CONFIDENCE, SHOW_SIDES, SHOW_SKELETONS
from studio.viewport.layers.spec import DisplayOption, Section, ViewOptions
from studio.viewport.layers.table import display_options
from studio.viewport.palette import side_colours

SHOW_DETECTIONS = DisplayOption(
    name="detections", label="2D detections on the videos", icon="cross", shortcut="D", default=False, section="Videos"
)
SHOW_VIDEO_FLOOR = DisplayOption(
    name="video floor", label="Floor grid on the videos", icon="measure", shortcut="H", default=False, section="Videos"
)
SHOW_VIDEO_BODIES = DisplayOption(
    name="video bodies", label="Bodies on the videos", icon="person", shortcut="V", section="Videos"
)
VIDEO_OPTIONS = (SHOW_VIDEO_BODIES, SHOW_DETECTIONS, SHOW_VIDEO_FLOOR)
"""Toggles that affect only the videos."""

VIEWS: tuple[tuple[ViewName, str, str], ...] = (
    ("perspective", "3D", "1"),
    ("top", "Top", "2"),
    ("front", "Front", "3"),
    ("side", "Side", "4"),
)
"""Views: name, text and shortcut."""

FRAME_ALL_KEY, FOUR_KEY, THROUGH_KEY, WIPE_KEY, RESET_KEY = "F", "5", "0", "W", "R"

SECTIONS = get_args(Section)

SAVE_PICTURE = ActionSpec(
    id="view.picture",
    text="Save picture…",
    icon="image",
    tip="Save the 3D view as a PNG file, optionally larger than on the screen",
    needs="take",
)
EXPORT_VIDEO = ActionSpec(
    id="view.film",
    text="Export video…",
    icon="film",
    tip="Write an MP4 file of the 3D view and of the videos with the people over them",
    needs="result",
)


def toolbar_options() -> tuple[DisplayOption, ...]:
    """Return the toggles of the toolbar: those of the layers, followed by those of the videos."""
    return (*display_options(), *VIDEO_OPTIONS)


def joint_colours(options: ViewOptions, theme: Theme) -> tuple[str, list[tuple[int | str, str]]]:
    """Return the title and the colours of the legend of joints; empty while they have the colours of people."""
    rows = list[tuple[int | str, str]]()
    if not options.shows(SHOW_SKELETONS):
        return "", rows
    if options.shows(SHOW_SIDES):
        rows += zip(side_colours(theme), ("left side", "right side"), strict=True)
    if options.shows(SHOW_CONFIDENCE):
        rows += [(0, "100 % confidence"), (1, "50 %"), (2, "0 %")]
    return "Joints", rows


def shortcuts() -> tuple[KeySection, ...]:
    """Return the shortcuts and mouse gestures of the page."""
    page = (
        ("Play or pause", "Space"),
        ("Previous or next frame", "← or →"),
        ("Back or forward 10 frames", "Shift+← or Shift+→"),
        ("Go to start or end", "Home or End"),
        ("Perspective, top, front, side view", " ".join(key for _, _, key in VIEWS)),
        ("Four views", FOUR_KEY),
        ("Look through the next camera", THROUGH_KEY),
        ("Frame all", FRAME_ALL_KEY),
        ("Reset view and layers", RESET_KEY),
        ("Compare by a dividing line", WIPE_KEY),
        ("Orbit", "Drag"),
        ("Pan", "Shift+Drag"),
        ("Zoom", "Wheel"),
    )
    layers = tuple((option.label, option.shortcut) for option in toolbar_options() if option.shortcut)
    return ("View page", page), ("Layers of the View page", layers)
