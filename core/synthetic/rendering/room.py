"""Furnished room of boxes, rendered by ray casting.

Rays start from undistorted pixels, so that the image has exactly the distortion of the camera. The room is static, so
each camera's image is rendered once.

Legend: N ray or point, H W image.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from scipy.interpolate import RectBivariateSpline

from core.geometry import project, to_camera, undistort
from core.types.arrays import F32, F64, I64, U8
from core.types.camera import Camera

RGB = tuple[int, int, int]
XY = tuple[float, float]
XYZ = tuple[float, float, float]
ROOM_MM = np.array([[-3300.0, -2900.0, 0.0], [3300.0, 2900.0, 2700.0]])
"""Lowest and highest corner of the room in mm."""
LIGHT = np.array([0.45, 0.55, 0.70]) / np.linalg.norm([0.45, 0.55, 0.70])
"""Unit vector towards the main light."""
SHADE_CELL_MM = 20.0
"""Cell size of shade maps of the floor."""
_EDGE = 14  # difference of neighbouring pixels in grey levels from which they are supersampled
_MARGIN_PX = 6.0  # around the projected corners of a box, since distortion curves its edges


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """Axis-aligned box.

    Attributes:
        low_mm: Lowest corner.
        high_mm: Highest corner.
        colour: sRGB colour.
        texture: "plain", "wood", "cloth", "picture" or "light".
    """

    low_mm: XYZ
    high_mm: XYZ
    colour: RGB
    texture: str = "plain"


def furniture() -> tuple[Box, ...]:
    """Return the furniture of the demo room, which is along the walls."""
    wood, dark, white = (164, 116, 72), (92, 66, 46), (228, 226, 220)
    boxes = [
        *_table((-700, 2150), (700, 2780), 740, wood),
        *_chair((-250, 1750), (210, 2150), dark),
        *_shelf((2350, -800), (3290, -480), dark),
        *_shelf((-3290, 1100), (-2970, 2100), white),
        Box(low_mm=(-1500, -2880, 0), high_mm=(500, -2100, 380), colour=(96, 108, 112), texture="cloth"),
        Box(low_mm=(-1500, -2890, 380), high_mm=(500, -2640, 820), colour=(90, 102, 106), texture="cloth"),
        Box(low_mm=(-1700, -2880, 0), high_mm=(-1500, -2100, 600), colour=(88, 100, 104), texture="cloth"),
        Box(low_mm=(500, -2880, 0), high_mm=(700, -2100, 600), colour=(88, 100, 104), texture="cloth"),
        Box(low_mm=(-1300, -2640, 380), high_mm=(-900, -2520, 720), colour=(190, 146, 62), texture="cloth"),
        Box(low_mm=(-100, -2640, 380), high_mm=(300, -2520, 700), colour=(150, 72, 60), texture="cloth"),
        # Screen, keyboard, lamp, pictures, door, window, skirting boards.
        Box(low_mm=(-350, 2600, 860), high_mm=(250, 2640, 1210), colour=(24, 26, 30)),
        Box(low_mm=(-330, 2596, 880), high_mm=(230, 2601, 1190), colour=(60, 92, 120), texture="picture"),
        Box(low_mm=(-90, 2600, 740), high_mm=(-10, 2660, 870), colour=(30, 30, 32)),
        Box(low_mm=(-250, 2300, 740), high_mm=(150, 2430, 758), colour=(40, 42, 46)),
        Box(low_mm=(480, 2420, 740), high_mm=(560, 2500, 1040), colour=(206, 176, 112)),
        Box(low_mm=(-3290, -1500, 1250), high_mm=(-3270, -600, 1850), colour=(170, 120, 80), texture="picture"),
        Box(low_mm=(1200, -2890, 1300), high_mm=(1900, -2870, 2000), colour=(90, 130, 140), texture="picture"),
        Box(low_mm=(-900, -2890, 1350), high_mm=(-200, -2870, 1850), colour=(150, 150, 120), texture="picture"),
        Box(low_mm=(-2600, -2890, 0), high_mm=(-1800, -2865, 2050), colour=(206, 200, 188)),
        Box(low_mm=(1200, 2870, 900), high_mm=(2700, 2890, 2200), colour=(246, 250, 255), texture="light"),
        Box(low_mm=(-2600, 2870, 900), high_mm=(-1300, 2890, 2200), colour=(246, 250, 255), texture="light"),
        Box(low_mm=(1140, 2860, 840), high_mm=(2760, 2892, 900), colour=white),
        Box(low_mm=(1920, 2860, 900), high_mm=(1970, 2892, 2200), colour=white),
        Box(low_mm=(-2660, 2860, 840), high_mm=(-1240, 2892, 900), colour=white),
        Box(low_mm=(-1975, 2860, 900), high_mm=(-1925, 2892, 2200), colour=white),
        *(
            Box(low_mm=low, high_mm=high, colour=white)
            for low, high in (
                ((-3300, -2900, 0), (3300, -2885, 90)),
                ((-3300, 2885, 0), (3300, 2900, 90)),
                ((-3300, -2900, 0), (-3285, 2900, 90)),
                ((3285, -2900, 0), (3300, 2900, 90)),
            )
        ),
        # A plant in a pot.
        Box(low_mm=(2850, 2300, 0), high_mm=(3150, 2600, 330), colour=(186, 178, 166)),
        *_plant((3000, 2450), 330),
    ]
    return tuple(boxes)


class RoomView(NamedTuple):
    """Empty room in the view of one camera.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        nearness: (H, W) inverse depth of each pixel in 1/mm.
        floor: (H, W, 2) column and row in shade maps of the floor; far outside where the floor is not visible.
    """

    image: U8
    nearness: F32
    floor: F32


def view_room(camera: Camera, boxes: tuple[Box, ...]) -> RoomView:
    """Render the empty room for a camera.

    One ray is cast per pixel, and three more at edges.
    """
    width, height = camera.size_px
    rays, extents = _rays(camera), _extents(camera, boxes)
    colour, depth, hit, on_floor = _cast(camera, rays.reshape(-1, 2), extents, boxes)
    image = colour.reshape(height, width, 3)
    edges = np.flatnonzero(_edges(image))
    by_y, by_x = (a.reshape(-1, 2)[edges] for a in np.gradient(rays, axis=(0, 1)))
    place = np.full(width * height, -1)
    place[edges] = np.arange(len(edges))
    extents = [some[some >= 0] for some in (place[extent] for extent in extents)]
    finer = [
        _cast(camera, rays.reshape(-1, 2)[edges] + dx * by_x + dy * by_y, extents, boxes)[0]
        for dx, dy in ((-0.3, -0.2), (0.35, -0.15), (-0.05, 0.35))
    ]
    colour[edges] = np.mean([colour[edges], *finer], 0)  # mean of linear light, as in a sensor
    cells = (hit[:, :2] - ROOM_MM[0, :2]) / SHADE_CELL_MM - 0.5
    floor = np.where(on_floor[:, None], cells, -1e4).reshape(height, width, 2)
    return RoomView(
        (255 * np.clip(image, 0, 1) ** (1 / 2.2)).astype(np.uint8),
        (1 / depth).reshape(height, width).astype(np.float32),
        floor.astype(np.float32),
    )


def _rays(camera: Camera) -> F64:
    """Return the ideal coordinates (H, W, 2) of all pixels, interpolated from every eighth one."""
    width, height = camera.size_px
    xs, ys = (np.linspace(0, n - 1, n // 8 + 1) for n in (width, height))
    coarse = np.nan_to_num(undistort(camera, np.stack(np.meshgrid(xs, ys), -1)))
    fine = [RectBivariateSpline(ys, xs, coarse[..., k])(np.arange(height), np.arange(width)) for k in range(2)]
    return np.stack(fine, -1)


def _edges(image: F32) -> np.ndarray:
    """Return the mask (H, W) of pixels that differ from a neighbour."""
    bright = np.ascontiguousarray((255 * np.clip(image, 0, 1) ** (1 / 2.2)).astype(np.uint8))
    kernel = np.ones((3, 3), np.uint8)
    return np.asarray((cv2.dilate(bright, kernel).astype(int) - cv2.erode(bright, kernel)).max(-1) > _EDGE)


def shade_size() -> tuple[int, int]:
    """Return the number of columns and rows of shade maps of the floor."""
    columns, rows = np.ceil((ROOM_MM[1, :2] - ROOM_MM[0, :2]) / SHADE_CELL_MM).astype(int)
    return int(columns), int(rows)


def _cast(camera: Camera, ideal: F64, extents: list[I64], boxes: tuple[Box, ...]) -> tuple[F32, F64, F64, np.ndarray]:
    """Cast rays into the room.

    Args:
        camera: The camera.
        ideal: (N, 2) ideal coordinates.
        extents: Indices of the rays that can hit each box.
        boxes: The boxes.

    Returns:
        Linear colours (N, 3), depths (N,), hit points (N, 3) and the mask (N,) of those on the floor.
    """
    R, _ = camera.pose
    centre = camera.centre_mm
    direction = np.concatenate([ideal, np.ones((len(ideal), 1))], -1) @ R  # depth 1 along the optical axis
    with np.errstate(divide="ignore"):
        inverse = np.ascontiguousarray(1 / direction.T)
    # The room itself: the wall where a ray leaves it.
    far = np.maximum(*((corner - centre)[:, None] * inverse for corner in ROOM_MM))
    depth, axis = far.min(0), far.argmin(0)
    number = np.full(len(ideal), -1)
    for index, (box, some) in enumerate(zip(boxes, extents, strict=True)):
        a, b = ((np.array(corner) - centre)[:, None] * inverse[:, some] for corner in (box.low_mm, box.high_mm))
        near, (x, y, z) = np.minimum(a, b), np.maximum(a, b)
        enter, leave = np.maximum(np.maximum(near[0], near[1]), near[2]), np.minimum(np.minimum(x, y), z)
        closer = np.flatnonzero((enter < leave) & (enter > 0) & (enter < depth[some]))
        at = some[closer]
        depth[at], axis[at], number[at] = enter[closer], near[:, closer].argmax(0), index
    hit = centre + depth[:, None] * direction
    normal = np.where(np.take_along_axis(direction, axis[:, None], -1)[:, 0] > 0, -1.0, 1.0)
    on_floor = (number == -1) & (axis == 2) & (normal > 0)
    return _shade(hit, axis, normal, number, boxes), depth, hit, on_floor


def _extents(camera: Camera, boxes: tuple[Box, ...]) -> list[I64]:
    """Return the indices of the pixels whose rays can hit each box."""
    width, height = camera.size_px
    share = np.linspace(0, 1, 5)
    grid = np.stack(np.meshgrid(share, share, share), -1).reshape(-1, 3)
    low, high = (np.array([getattr(box, end) for box in boxes])[:, None] for end in ("low_mm", "high_mm"))
    points = low + grid * (high - low)
    seen, depth = project(camera, points), to_camera(camera, points)[..., 2]
    pixels = np.arange(width * height).reshape(height, width)
    extents = []
    for xy, z in zip(seen, depth, strict=True):
        if np.isfinite(xy).all():
            x0, y0 = np.clip(xy.min(0) - _MARGIN_PX, 0, (width, height)).astype(int)
            x1, y1 = np.clip(xy.max(0) + _MARGIN_PX, 0, (width, height)).astype(int)
            extents.append(pixels[y0:y1, x0:x1].ravel())
        else:  # partly behind the camera, or far outside the image
            extents.append(pixels.ravel() if (z > 0).any() else pixels[:0].ravel())
    return extents


def _shade(hit: F64, axis: np.ndarray, normal: F64, number: np.ndarray, boxes: tuple[Box, ...]) -> F32:
    colours = (np.array([b.colour for b in boxes] + [(0, 0, 0)]) / 255) ** 2.2
    albedo = colours[number]
    light = 0.62 + 0.38 * np.clip(normal * LIGHT[axis], 0, 1)
    room = number == -1
    floor, ceiling, wall = room & (axis == 2) & (normal > 0), room & (axis == 2) & (normal < 0), room & (axis < 2)
    albedo[floor] = _floor(hit[floor])
    albedo[ceiling] = np.array([0.80, 0.80, 0.78])
    warm = np.where((axis[wall] == 0)[:, None], [0.60, 0.57, 0.50], [0.66, 0.65, 0.61])
    albedo[wall] = warm
    order = np.argsort(number, kind="stable")
    begin = np.searchsorted(number[order], np.arange(len(boxes) + 1))
    for index, box in enumerate(boxes):
        mine = order[begin[index] : begin[index + 1]]
        if box.texture != "plain" and len(mine):
            albedo[mine] = _TEXTURES[box.texture](hit[mine], albedo[mine], box)
    # Ambient occlusion of corners, and of the floor below and beside furniture.
    distance = np.minimum(hit - ROOM_MM[0], ROOM_MM[1] - hit)
    np.put_along_axis(distance, np.where(room, axis, 0)[..., None], 1e4, -1)
    a, b, c = (1 - 0.38 * np.exp(-np.clip(distance, 0, None) / 240.0)).T
    light = light * np.where(room, a * b * c, 0.55 + 0.45 * np.clip(hit[..., 2] / 350.0, 0, 1))
    light[floor] *= _under(hit[floor], boxes)
    light = np.where(_is_light(number, boxes), 1.0, light)
    return np.asarray(albedo * light[..., None], np.float32)


def _under(points: F64, boxes: tuple[Box, ...]) -> F64:
    """Return the fraction (N,) of light on the floor that furniture does not block."""
    light = _floor_light(boxes)
    cells = ((points[:, :2] - ROOM_MM[0, :2]) / SHADE_CELL_MM).astype(int)
    rows, columns = light.shape
    return np.asarray(light[cells[:, 1].clip(0, rows - 1), cells[:, 0].clip(0, columns - 1)])


@functools.lru_cache(maxsize=1)
def _floor_light(boxes: tuple[Box, ...]) -> F32:
    columns, rows = shade_size()
    total = np.zeros((rows, columns), np.float32)
    for box in boxes:
        if box.low_mm[2] > 900 or box.high_mm[2] < 40:
            continue
        low, high = ((np.array(c[:2]) - ROOM_MM[0, :2]) / SHADE_CELL_MM for c in (box.low_mm, box.high_mm))
        (x0, y0), (x1, y1) = np.round(low).astype(int).clip(0), np.round(high).astype(int) + 1
        strength = 0.75 * np.exp(-box.low_mm[2] / 700.0)
        total[y0:y1, x0:x1] = np.maximum(total[y0:y1, x0:x1], strength)
    near, far = (cv2.GaussianBlur(total, (0, 0), sigma) for sigma in (3, 12))
    return np.asarray(1 - np.maximum(near, 0.8 * far), np.float32)


def _is_light(number: np.ndarray, boxes: tuple[Box, ...]) -> np.ndarray:
    return np.asarray(np.array([box.texture == "light" for box in boxes] + [False])[number])


def _floor(points: F64) -> F64:
    """Return the colours (N, 3) of a wooden floor with a rug."""
    rug = (np.abs(points[:, 0]) < 1250) & (np.abs(points[:, 1]) < 900)
    out = np.empty((len(points), 3))
    out[rug], out[~rug] = _rug(points[rug]), _planks(points[~rug])
    return out


def _planks(points: F64) -> F64:
    x, y = points[:, 0], points[:, 1]
    row = np.floor(y / 140.0)
    shift = 613.0 * _hash(row)
    plank = np.floor((x + shift) / 1200.0)
    tone = 0.86 + 0.28 * _hash(row * 17.3 + plank * 5.1)
    grain = 1 + 0.06 * np.sin(y / 3.1 + 9 * _hash(row + plank)) + 0.05 * _noise(points * (0.12, 1, 1), 12.0)
    edge = np.minimum(np.abs(y / 140.0 - np.round(y / 140.0)) * 140, np.abs((x + shift) / 1200 - plank) * 1200)
    gap = np.where(edge < 2.5, 0.55, 1.0)
    return np.array([0.36, 0.22, 0.115]) * (tone * grain * gap)[:, None]


def _rug(points: F64) -> F64:
    x, y = points[:, 0], points[:, 1]
    border = (np.abs(x) > 1130) | (np.abs(y) > 780)
    motif = (np.abs((x + y) / 180 % 2 - 1) < 0.28) ^ (np.abs((x - y) / 180 % 2 - 1) < 0.28)
    pattern = np.where((motif & ~border)[:, None], [0.33, 0.31, 0.27], [0.24, 0.25, 0.27])
    return np.asarray(
        np.where(border[:, None], [0.115, 0.125, 0.15], pattern) * (1 + 0.12 * _noise(points, 9.0))[:, None]
    )


def _wood(points: F64, albedo: F64, box: Box) -> F64:
    size = np.subtract(box.high_mm, box.low_mm)
    across = points[:, 1] if size[0] > size[1] else points[:, 0]
    grain = 0.10 * np.sin(across / 9.0 + 2 * _noise(points * 0.2, 60.0)) + 0.06 * _noise(points, 15.0)
    return np.asarray(albedo * (1 + grain)[:, None])


def _cloth(points: F64, albedo: F64, box: Box) -> F64:
    return np.asarray(albedo * (1 + 0.10 * _noise(points, 14.0) + 0.05 * _noise(points, 160.0))[:, None])


def _picture(points: F64, albedo: F64, box: Box) -> F64:
    """Return the colours of a framed picture with horizon, hills and sky."""
    low, size = np.array(box.low_mm), np.subtract(box.high_mm, box.low_mm)
    axis = int(size[1] > size[0])
    u, v = (points[:, axis] - low[axis]) / size[axis], (points[:, 2] - low[2]) / size[2]
    hills = 0.42 + 0.10 * np.sin(7 * u + low[0]) + 0.05 * np.sin(17 * u)
    sky = albedo * (0.9 + 1.1 * v)[:, None]
    land = albedo[:, [1, 0, 2]] * (0.35 + 0.5 * v)[:, None]
    out = np.where((v < hills)[:, None], land, np.clip(sky, 0, 0.9))
    frame = np.minimum(np.minimum(u, 1 - u) * size[axis], np.minimum(v, 1 - v) * size[2]) < 25
    return np.where(frame[:, None], 0.04, out)


def _light(points: F64, albedo: F64, box: Box) -> F64:
    """Return the colours of the sky behind a window."""
    v = (points[:, 2] - box.low_mm[2]) / (box.high_mm[2] - box.low_mm[2])
    return np.asarray(np.array([0.82, 0.90, 1.0]) * (0.78 + 0.2 * v)[:, None])


_TEXTURES = {"wood": _wood, "cloth": _cloth, "picture": _picture, "light": _light}


def _hash(value: F64) -> F64:
    """Return reproducible noise in [0, 1] for integers."""
    x = np.sin(value * 12.9898) * 43758.5453
    return np.asarray(x - np.floor(x))


def _noise(points: F64, cell_mm: float) -> F64:
    """Return smooth reproducible noise (N,) in [-1, 1] at points (N, 3): trilinear between random values."""
    grid = points.T / cell_mm
    base = np.floor(grid)
    f = grid - base
    f = f * f * (3 - 2 * f)
    key = base[0] + 57.0 * base[1] + 113.0 * base[2]
    total = np.zeros(len(points))
    for i, j, k in np.ndindex(2, 2, 2):
        x, y, z = (f[axis] if one else 1 - f[axis] for axis, one in enumerate((i, j, k)))
        total += x * y * z * _hash(key + (i + 57.0 * j + 113.0 * k))
    return 2 * total - 1


def _table(
    low: tuple[float, float], high: tuple[float, float], height: float, colour: tuple[int, int, int]
) -> list[Box]:
    (x0, y0), (x1, y1), leg = low, high, 60.0
    corners = [(x, y) for x in (x0 + 30, x1 - 30 - leg) for y in (y0 + 30, y1 - 30 - leg)]
    top = Box(low_mm=(x0, y0, height - 35), high_mm=(x1, y1, height), colour=colour, texture="wood")
    return [
        top,
        *(
            Box(low_mm=(x, y, 0), high_mm=(x + leg, y + leg, height - 35), colour=colour, texture="wood")
            for x, y in corners
        ),
    ]


def _chair(low: XY, high: XY, colour: RGB) -> list[Box]:
    (x0, y0), (x1, _) = low, high
    back = Box(low_mm=(x0, y0, 560), high_mm=(x1, y0 + 35, 900), colour=colour, texture="wood")
    posts = [Box(low_mm=(x, y0, 440), high_mm=(x + 35, y0 + 35, 900), colour=colour) for x in (x0, x1 - 35)]
    return [*_table(low, high, 450, colour), back, *posts]


def _shelf(low: XY, high: XY, colour: RGB) -> list[Box]:
    """Return a bookcase with books, whose open front faces the middle of the room."""
    (x0, y0), (x1, y1) = low, high
    wide = x1 - x0 > y1 - y0
    boards = [
        Box(low_mm=(x0, y0, z), high_mm=(x1, y1, z + 25), colour=colour, texture="wood")
        for z in (60, 440, 820, 1200, 1580)
    ]
    sides = [(x0, y0, x0 + 25, y1), (x1 - 25, y0, x1, y1)] if wide else [(x0, y0, x1, y0 + 25), (x0, y1 - 25, x1, y1)]
    panels = [Box(low_mm=(a, b, 0), high_mm=(c, d, 1605), colour=colour, texture="wood") for a, b, c, d in sides]
    rng = np.random.default_rng(round(abs(x0)))
    books, (begin, end) = [], (x0, x1) if wide else (y0, y1)
    for z in (85, 465, 845, 1225):
        at = begin + 40
        while at < end - 90:
            thickness, height, tone = (
                rng.uniform(22, 60),
                rng.uniform(200, 310),
                rng.uniform(40, 170) * rng.uniform(0.6, 1.15, 3),
            )
            colours = int(tone[0]), int(tone[1]), int(tone[2])
            if rng.random() < 0.85:
                a, b = (at, y0 + 40, z), (at + thickness, y1 - 40, z + height)
                if not wide:
                    a, b = (x0 + 40, at, z), (x1 - 40, at + thickness, z + height)
                books.append(Box(low_mm=a, high_mm=b, colour=colours))
            at += thickness + 3
    return [*boards, *panels, *books]


def _plant(centre: XY, base: float) -> list[Box]:
    rng = np.random.default_rng(11)
    leaves = []
    for _ in range(70):
        z = base + rng.uniform(60, 900)
        spread = 60 + 0.28 * (z - base)
        x, y = np.array(centre) + rng.normal(0, spread, 2).clip(-270, 270)
        half = rng.uniform(12, 60, 3) * (1, 1, 0.6)
        green = int(rng.uniform(60, 130))
        low, high = np.array([x, y, z]) - half, np.array([x, y, z]) + half
        leaves.append(Box(low_mm=tuple(low), high_mm=tuple(high), colour=(green // 2, green, green // 3)))
    return leaves
