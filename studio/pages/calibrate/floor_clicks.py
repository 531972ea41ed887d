"""Three points of the floor as they are clicked: what is known of each, and what to draw over images. No widgets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.calibration.floor_points import POINT_NAMES, FloorPoint, locate_point, world_from_floor
from core.calibration.world import Similarity
from core.errors import CoreError
from core.geometry import epipolar_line_px
from core.geometry.capture_volume import capture_volume
from core.geometry.overlay import floor_grid_px, poles_px
from core.types import CameraRig, CaptureVolume
from studio.widgets.image_view import Lines
from studio.widgets.zoom_image import Mark

INTRO = (
    "Show three points of the floor that at least two cameras see: the origin, a point in the direction of x, and one "
    "on the side of y, to the left of x."
)
MOVED = "The floor is set from three clicked points."
_TOKENS = ("on_image_origin", "on_image_x", "on_image_y")
_ALIKE_MM, _ALIKE_TURN = 250.0, 0.1  # frames this near have almost the same room over their floors
_GOOD_PX = 3.0  # a click this near to where all views together see the point, at 1280 px width


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PointState:
    """What is known of one point.

    Attributes:
        level: "none" without clicks, "open" with one, "ok", "warning" or "error".
        words: The same in a sentence.
        found: The point, where there is one.
    """

    level: str
    words: str
    found: FloorPoint | None = None


class FloorClicks:
    """The clicks of three points, and everything that follows from them.

    Args:
        rig: Posed cameras at the size of the images that are clicked.

    Attributes:
        rig: As given.
        current: Number of the point that the next click is for.
    """

    def __init__(self, rig: CameraRig) -> None:
        self.rig = rig
        self.current = 0
        self._clicks: list[dict[str, tuple[float, float]]] = [{} for _ in POINT_NAMES]
        self._states: list[PointState] = []
        self._change: Similarity | None = None
        self._problem = ""
        self._spaced: tuple[Similarity, CaptureVolume] | None = None
        self._preview: dict[str, list[Lines]] = {}
        self._judge()

    def place(self, camera: str, xy_px: tuple[float, float], point: int | None = None) -> None:
        """Clicks the current point, or another one, in an image; a former click there is moved."""
        self._clicks[self.current if point is None else point][camera] = xy_px
        self._judge()

    def remove(self, camera: str, point: int) -> None:
        """Takes one click back."""
        self._clicks[point].pop(camera, None)
        self._judge()

    def clear(self, point: int) -> None:
        """Takes all clicks of a point back."""
        self._clicks[point].clear()
        self._judge()

    def clicked(self, point: int) -> dict[str, tuple[float, float]]:
        """The clicks of a point, by camera."""
        return dict(self._clicks[point])

    def state(self, point: int) -> PointState:
        """What is known of a point."""
        return self._states[point]

    @property
    def change(self) -> Similarity | None:
        """The change to the frame that the points show; None as long as they show none."""
        return self._change

    @property
    def problem(self) -> str:
        """Why there is no frame although all three points are there; else empty."""
        return self._problem

    def marks(self, camera: str) -> list[Mark]:
        """The clicks in an image; the current point's stands out."""
        return [
            Mark(key=p, xy_px=clicks[camera], text=str(p + 1), token=_TOKENS[p], strong=p == self.current)
            for p, clicks in enumerate(self._clicks)
            if camera in clicks
        ]

    def lines(self, camera: str) -> list[Lines]:
        """Over an image: the floor and poles of the new frame, and lines on which the current point must lie.

        Where the clicks agree and this image has its own, the lines have done their service.
        """
        drawn = list(self._preview_of(camera)) if self._change is not None else []
        clicks = self._clicks[self.current]
        if self._states[self.current].found is not None and camera in clicks:
            return drawn
        for name, xy in clicks.items():
            if name != camera:
                line = epipolar_line_px(self.rig[name], xy, self.rig[camera])
                drawn.append(Lines((line,) if len(line) else (), _TOKENS[self.current], 1.4))
        return drawn

    def predicted(self, camera: str) -> list[Mark]:
        """Where the clicks in other images say that each point is in this one."""
        v = self.rig.names.index(camera)
        found = [(p, s.found) for p, s in enumerate(self._states)]
        return [
            Mark(key=p, xy_px=(float(f.seen_px[v, 0]), float(f.seen_px[v, 1])), text=str(p + 1), token=_TOKENS[p])
            for p, f in found
            if f is not None and camera not in self._clicks[p]
        ]

    def _preview_of(self, camera: str) -> list[Lines]:
        if camera not in self._preview and self._change is not None:
            moved = self._change.rig(self.rig)
            try:
                volume = self._volume_of(self._change, moved)
            except CoreError:  # such a frame has no room over its floor: the page's check will say so
                self._preview = {name: [] for name in self.rig.names}
                return []
            for each in moved:
                self._preview[each.name] = [
                    Lines(tuple(floor_grid_px(each, volume)), "on_image", 1.0),
                    Lines(tuple(poles_px(each, volume)), "on_image_strong", 2.0),
                ]
        return self._preview.get(camera, [])

    def _volume_of(self, change: Similarity, moved: CameraRig) -> CaptureVolume:
        """The room over the new floor; the one from before while a click is dragged about, as it takes a while."""
        if self._spaced is None or not _alike(change, self._spaced[0]):
            self._spaced = change, capture_volume(moved)
        return self._spaced[1]

    def _judge(self) -> None:
        self._states = [self._state_of(clicks) for clicks in self._clicks]
        self._preview, self._change, self._problem = {}, None, ""
        found = [s.found for s in self._states if s.found is not None]
        if len(found) == len(POINT_NAMES):
            try:
                self._change = world_from_floor(np.stack([p.xyz_mm for p in found]), self.rig)
            except CoreError as error:
                self._problem = f"{error.message} {error.hint}"

    def _state_of(self, clicks: dict[str, tuple[float, float]]) -> PointState:
        if not clicks:
            return PointState(level="none", words="Not clicked yet.")
        if len(clicks) == 1:
            return PointState(level="open", words="Click it in a second view; the line shows where it must be.")
        try:
            found = locate_point(self.rig, clicks)
        except CoreError as error:
            return PointState(level="error", words=f"{error.message} {error.hint}")
        good = all(px <= _GOOD_PX * max(self.rig[name].size_px) / 1280 for name, px in found.error_px.items())
        x, y, z = (np.round(found.xyz_mm / 1000, 2) + 0.0).tolist()  # no minus zero
        where = f"{len(clicks)} views, off by {found.worst_px:.1f} px; now at {x:.2f}, {y:.2f}, {z:.2f} m"
        return PointState(level="ok" if good else "warning", words=f"{where}.", found=found)


def _alike(first: Similarity, second: Similarity) -> bool:
    near = np.linalg.norm(first.origin_mm - second.origin_mm) < _ALIKE_MM
    return bool(near and np.abs(first.R - second.R).max() < _ALIKE_TURN)
