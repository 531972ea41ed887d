"""Three clicked floor points: their triangulation, the resulting world coordinates, and overlays. No widgets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.calibration.floor_points import POINT_NAMES, FloorPoint, locate_point, world_from_floor
from core.errors import CoreError
from core.geometry import epipolar_line_px
from core.geometry.capture_volume import capture_volume
from core.geometry.overlay import floor_grid_px, poles_px
from core.geometry.similarity import Similarity
from core.types import CameraRig, CaptureVolume
from studio.widgets.images.image_view import Lines
from studio.widgets.images.zoom_image import Mark

INTRO = (
    "Click three floor points, each in at least two cameras: the origin, a point on the x axis, and a point on the y "
    "side, to the left of x."
)
MOVED = "The floor is set from three clicked points."
_TOKENS = ("on_image_origin", "on_image_x", "on_image_y")
# Tolerance within which world coordinates share a capture volume, which is slow to compute.
_SAME_VOLUME_MM, _SAME_VOLUME_ROTATION = 250.0, 0.1
_GOOD_PX = 3.0  # reprojection error of a click, at 1280 px image width


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PointState:
    """State of one point.

    Attributes:
        level: "none" without clicks, "open" with one, otherwise "ok", "warning" or "error".
        text: Sentence on the state.
        point: Triangulated point; None without one.
    """

    level: str
    text: str
    point: FloorPoint | None = None


class FloorClicks:
    """Clicks of the three points, and all derived data.

    Args:
        rig: Posed cameras at the size of the clicked images.

    Attributes:
        rig: The cameras.
        current: Index of the point for the next click.
    """

    def __init__(self, rig: CameraRig) -> None:
        self.rig = rig
        self.current = 0
        self._clicks: list[dict[str, tuple[float, float]]] = [{} for _ in POINT_NAMES]
        self._states: list[PointState] = []
        self._change: Similarity | None = None
        self._problem = ""
        self._volume: tuple[Similarity, CaptureVolume] | None = None
        self._preview: dict[str, list[Lines]] = {}
        self._update()

    def place(self, camera: str, xy_px: tuple[float, float], point: int | None = None) -> None:
        """Set or move the click of a point in an image; the current point by default."""
        self._clicks[self.current if point is None else point][camera] = xy_px
        self._update()

    def remove(self, camera: str, point: int) -> None:
        """Remove one click."""
        self._clicks[point].pop(camera, None)
        self._update()

    def clear(self, point: int) -> None:
        """Remove all clicks of a point."""
        self._clicks[point].clear()
        self._update()

    def clicked(self, point: int) -> dict[str, tuple[float, float]]:
        """Return the clicks of a point by camera, in pixels."""
        return dict(self._clicks[point])

    def state(self, point: int) -> PointState:
        """Return the state of a point."""
        return self._states[point]

    @property
    def change(self) -> Similarity | None:
        """Change of world coordinates defined by the points; None if undefined."""
        return self._change

    @property
    def problem(self) -> str:
        """Reason why three complete points do not define world coordinates; empty otherwise."""
        return self._problem

    def marks(self, camera: str) -> list[Mark]:
        """Return the clicks in an image; that of the current point is emphasised."""
        return [
            Mark(key=p, xy_px=clicks[camera], text=str(p + 1), token=_TOKENS[p], strong=p == self.current)
            for p, clicks in enumerate(self._clicks)
            if camera in clicks
        ]

    def lines(self, camera: str) -> list[Lines]:
        """Return the overlay of an image: floor and poles of the new world coordinates, and epipolar lines.

        Epipolar lines of the current point are omitted once it is triangulated and clicked in this image.
        """
        drawn = list(self._preview_of(camera)) if self._change is not None else []
        clicks = self._clicks[self.current]
        if self._states[self.current].point is not None and camera in clicks:
            return drawn
        for name, xy in clicks.items():
            if name != camera:
                line = epipolar_line_px(self.rig[name], xy, self.rig[camera])
                drawn.append(Lines((line,) if len(line) else (), _TOKENS[self.current], 1.4))
        return drawn

    def predicted(self, camera: str) -> list[Mark]:
        """Return the triangulated points projected into an image in which they are not clicked."""
        v = self.rig.names.index(camera)
        points = [(p, s.point) for p, s in enumerate(self._states)]
        return [
            Mark(key=p, xy_px=(float(f.seen_px[v, 0]), float(f.seen_px[v, 1])), text=str(p + 1), token=_TOKENS[p])
            for p, f in points
            if f is not None and camera not in self._clicks[p]
        ]

    def _preview_of(self, camera: str) -> list[Lines]:
        if camera not in self._preview and self._change is not None:
            moved = self._change.rig(self.rig)
            try:
                volume = self._volume_of(self._change, moved)
            except CoreError:  # no capture volume over this floor, which the rig check reports
                self._preview = {name: [] for name in self.rig.names}
                return []
            for moved_camera in moved:
                self._preview[moved_camera.name] = [
                    Lines(tuple(floor_grid_px(moved_camera, volume)), "on_image", 1.0),
                    Lines(tuple(poles_px(moved_camera, volume)), "on_image_strong", 2.0),
                ]
        return self._preview.get(camera, [])

    def _volume_of(self, change: Similarity, moved: CameraRig) -> CaptureVolume:
        """Return the capture volume over the new floor; cached during a drag, because it is slow to compute."""
        if self._volume is None or not _similar(change, self._volume[0]):
            self._volume = change, capture_volume(moved)
        return self._volume[1]

    def _update(self) -> None:
        self._states = [self._state_of(clicks) for clicks in self._clicks]
        self._preview, self._change, self._problem = {}, None, ""
        points = [s.point for s in self._states if s.point is not None]
        if len(points) == len(POINT_NAMES):
            try:
                self._change = world_from_floor(np.stack([p.xyz_mm for p in points]), self.rig)
            except CoreError as error:
                self._problem = f"{error.message} {error.hint}"

    def _state_of(self, clicks: dict[str, tuple[float, float]]) -> PointState:
        if not clicks:
            return PointState(level="none", text="Not clicked yet.")
        if len(clicks) == 1:
            return PointState(level="open", text="Click it in a second camera, on the epipolar line.")
        try:
            point = locate_point(self.rig, clicks)
        except CoreError as error:
            return PointState(level="error", text=f"{error.message} {error.hint}")
        good = all(px <= _GOOD_PX * max(self.rig[name].size_px) / 1280 for name, px in point.error_px.items())
        x, y, z = (np.round(point.xyz_mm / 1000, 2) + 0.0).tolist()  # avoids -0.0
        text = f"{len(clicks)} views, error {point.worst_px:.1f} px; now at {x:.2f}, {y:.2f}, {z:.2f} m."
        return PointState(level="ok" if good else "warning", text=text, point=point)


def _similar(first: Similarity, second: Similarity) -> bool:
    near = np.linalg.norm(first.origin_mm - second.origin_mm) < _SAME_VOLUME_MM
    return bool(near and np.abs(first.R - second.R).max() < _SAME_VOLUME_ROTATION)
