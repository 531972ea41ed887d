"""From a take's stage, a time and the options to the layers that are drawn. Pure: no OpenGL, no Qt.

What does not change from frame to frame is the same object each time, so that it is not uploaded again.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from core.geometry.accuracy import AccuracyMap
from core.types import CaptureVolume, Pose3DSequence
from core.types.arrays import F64, U8
from studio.viewport.accuracy_colours import error_colours, map_corners_mm, worst_direction_lines_mm
from studio.viewport.layers import (
    RGBA,
    AccuracyLayer,
    FloorLayer,
    FrustaLayer,
    LabelLayer,
    Layer,
    SceneLayers,
    SkeletonLayer,
    TrailLayer,
    VolumeLayer,
)
from studio.viewport.palette import Palette
from studio.viewport.scene_data import SceneData, frame_of
from studio.viewport.skeleton_geometry import skeleton_geometry

_TRAIL_POINTS = 60
_CELL_PX = 4  # of the accuracy map's cells in its texture, so that they keep their edges
_ABOVE_HEAD_MM = 110.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewOptions:
    """What the person wants to see.

    Attributes:
        follow: Id of the person whom the view follows, or None.
        trail_s: Length of the trails.
    """

    skeletons: bool = True
    trails: bool = True
    labels: bool = True
    frusta: bool = True
    images: bool = True
    floor: bool = True
    volume: bool = False
    accuracy: bool = False
    follow: int | None = None
    trail_s: float = 1.5


def build_scene_layers(
    stage: SceneData,
    time_s: float,
    options: ViewOptions,
    palette: Palette,
    images: Mapping[str, U8] | None = None,
) -> SceneLayers:
    """The scene of one frame.

    Args:
        stage: The take.
        time_s: Seconds from the take's start.
        options: What to show.
        palette: Colours.
        images: By camera name, (H, W, 3) uint8 RGB; cameras without one show an empty plane.

    Returns:
        Only layers that have something to show.
    """
    layers: dict[str, Layer] = {}
    frame = frame_of(stage.poses, time_s) if stage.poses is not None else None
    if options.floor:
        layers["floor"] = floor_layer(stage, palette)
    if options.accuracy and stage.accuracy is not None:
        layers["accuracy"] = accuracy_layer(stage, stage.accuracy, palette)
    if options.volume and stage.volume is not None:
        layers["volume"] = volume_layer(stage, stage.volume, palette)
    if options.frusta and stage.cameras:
        layers["frusta"] = frusta_layer(stage, palette, (images or {}) if options.images else {})
    if options.trails and stage.poses is not None and frame is not None:
        layers["trails"] = trail_layer(stage, stage.poses, frame, options.trail_s, palette)
    if options.skeletons:
        if stage.ghost is not None and (other := frame_of(stage.ghost, time_s)) is not None:
            layers["ghost"] = skeleton_layer(stage.ghost, other, palette, ghost=True)
        if stage.poses is not None and frame is not None:
            layers["skeletons"] = skeleton_layer(stage.poses, frame, palette)
    if options.labels:
        if options.floor:
            layers["marks"] = metre_marks(stage, palette)
        if options.frusta and stage.cameras:
            layers["camera names"] = camera_labels(stage, palette)
        if options.skeletons and stage.poses is not None and frame is not None:
            layers["names"] = people_labels(stage, stage.poses, frame, palette)
    return SceneLayers(
        layers=layers,
        extent_mm=framed(stage) if "volume" in layers else stage.extent_mm,
        azimuth_deg=stage.azimuth_deg,
        focus_mm=_focus(stage, frame, options),
    )


def skeleton_layer(poses: Pose3DSequence, frame: int, palette: Palette, *, ghost: bool = False) -> SkeletonLayer:
    """Everybody present at a frame of a result."""
    columns = np.flatnonzero(poses.present[frame])
    colour = [palette.ghost if ghost else palette.person(int(p)) for p in columns]
    drawn = skeleton_geometry(poses.skeleton)
    points, score = drawn.points(poses.xyz_mm[frame, columns], poses.score[frame, columns])
    return SkeletonLayer(
        xyz_mm=points,
        score=score,
        bones=drawn.bones,
        size=drawn.size,
        colour=np.array(colour, np.float32).reshape(-1, 4),
        ghost=ghost,
    )


def trail_layer(stage: SceneData, poses: Pose3DSequence, frame: int, trail_s: float, palette: Palette) -> TrailLayer:
    """The last seconds of everybody's middle up to a frame, on the floor so that it never hides the person."""
    first = int(np.searchsorted(poses.time_s, poses.time_s[frame] - trail_s - 1e-6))
    steps = np.unique(np.linspace(first, frame, min(frame - first + 1, _TRAIL_POINTS)).round().astype(int))
    path = stage.middle_mm[steps].swapaxes(0, 1).copy()
    path[..., 2] = np.where(np.isfinite(path[..., 2]), 4.0, np.nan)
    colour = [palette.person(p) for p in range(len(path))]
    return TrailLayer(xyz_mm=path, colour=np.array(colour, np.float32).reshape(-1, 4))


def frusta_layer(stage: SceneData, palette: Palette, images: Mapping[str, U8]) -> FrustaLayer:
    """All posed cameras."""
    return FrustaLayer(
        names=stage.cameras,
        centre_mm=stage.centre_mm,
        corner_mm=stage.corner_mm,
        images=tuple(images.get(name) for name in stage.cameras),
        colour=camera_colours(stage, palette),
    )


@functools.lru_cache(maxsize=1)
def camera_colours(stage: SceneData, palette: Palette) -> RGBA:
    """(V, 4) by how far each camera can be trusted; quiet where that is not known."""
    choices = np.concatenate([palette.verdict, palette.camera[None]])
    return np.asarray(choices[stage.level], np.float32)


@functools.lru_cache(maxsize=1)
def accuracy_layer(stage: SceneData, found: AccuracyMap, palette: Palette) -> AccuracyLayer:
    """The map at the height of hips, on the floor."""
    level = len(found.z_mm) // 2
    image = error_colours(found, level, np.asarray(255 * palette.verdict[:, :3], np.float64))
    image = np.where(image[..., 3:] > 0, image[..., :3], np.uint8(255 * palette.background[:3]))
    start, end = (
        np.pad(ends, ((0, 0), (0, 1)), constant_values=6.0) for ends in worst_direction_lines_mm(found, level)
    )
    shown = np.repeat(np.repeat(image.swapaxes(0, 1)[::-1], _CELL_PX, 0), _CELL_PX, 1)
    return AccuracyLayer(
        corner_mm=map_corners_mm(found)[None],
        image=np.ascontiguousarray(shown),
        start_mm=start,
        end_mm=end,
        colour=palette.background,
    )


@functools.lru_cache(maxsize=1)
def floor_layer(stage: SceneData, palette: Palette) -> FloorLayer:
    """The floor under all cameras and people."""
    return FloorLayer(
        low_m=stage.low_m,
        high_m=stage.high_m,
        colour=palette.grid,
        major=palette.grid_major,
        axes=palette.axes,
    )


@functools.lru_cache(maxsize=1)
def volume_layer(stage: SceneData, volume: CaptureVolume, palette: Palette) -> VolumeLayer:
    """The capture volume, and where synthetic people may be in it."""
    low, high = stage.synthetic.corners_mm(volume)
    return VolumeLayer(
        low_mm=volume.low_mm, high_mm=volume.high_mm, hips_low_mm=low, hips_high_mm=high, colour=palette.volume
    )


@functools.lru_cache(maxsize=1)
def framed(stage: SceneData) -> F64:
    """(N, 3) points that bring the capture volume into view as well."""
    if stage.volume is None:
        return stage.extent_mm
    sides = np.stack([stage.volume.low_mm, stage.volume.high_mm], -1)
    return np.concatenate([stage.extent_mm, np.stack(np.meshgrid(*sides, indexing="ij"), -1).reshape(8, 3)])


def people_labels(stage: SceneData, poses: Pose3DSequence, frame: int, palette: Palette) -> LabelLayer:
    """A name above everybody present."""
    columns = np.flatnonzero(poses.present[frame])
    place = stage.middle_mm[frame, columns].copy()
    place[:, 2] = [np.nanmax(poses.xyz_mm[frame, p, :, 2]) + _ABOVE_HEAD_MM for p in columns]
    colour = [palette.person(int(p)) for p in columns]
    return _labels([f"Person {poses.person_ids[p]}" for p in columns], place, np.array(colour), palette)


@functools.lru_cache(maxsize=1)
def camera_labels(stage: SceneData, palette: Palette) -> LabelLayer:
    """A name above every camera."""
    return _labels(list(stage.cameras), stage.centre_mm, palette.quiet, palette, quiet=True)


@functools.lru_cache(maxsize=1)
def metre_marks(stage: SceneData, palette: Palette) -> LabelLayer:
    """Metres along two edges of the floor."""
    texts, places = _metre_marks(stage)
    return _labels(texts, np.array(places), palette.quiet, palette, quiet=True, above=False, behind=True)


def _labels(
    texts: list[str],
    xyz_mm: F64,
    colour: RGBA,
    palette: Palette,
    *,
    quiet: bool = False,
    above: bool = True,
    behind: bool = False,
) -> LabelLayer:
    count = len(texts)
    return LabelLayer(
        texts=tuple(texts),
        xyz_mm=xyz_mm.reshape(count, 3),
        colour=np.broadcast_to(colour, (count, 4)).astype(np.float32),
        plate=palette.plate,
        quiet=np.full(count, quiet),
        above=np.full(count, above),
        behind=behind,
    )


def _metre_marks(stage: SceneData) -> tuple[list[str], list[F64]]:
    """Metres along the x and the y edge of the floor, at most about a dozen a side."""
    texts: list[str] = []
    places: list[F64] = []
    for axis in (0, 1):
        low, high = stage.low_m[axis], stage.high_m[axis]
        step = next(s for s in (1, 2, 5, 10, 20) if (high - low) / s <= 12)
        # The corner belongs to the first edge.
        for metre in range(-(-(low + axis) // step) * step, high + 1, step):
            place = np.array([stage.low_m[0], stage.low_m[1], 0]) * 1000.0 - (150, 150, 0)
            place[axis] = metre * 1000.0
            texts.append(f"{metre} m")
            places.append(place)
    return texts, places


def _focus(stage: SceneData, frame: int | None, options: ViewOptions) -> F64 | None:
    if stage.poses is None or frame is None or options.follow not in stage.poses.person_ids:
        return None
    middle = stage.middle_mm[frame, stage.poses.person_ids.index(options.follow)]
    return np.asarray(middle) if np.isfinite(middle).all() else None
