"""Shaded surfaces in a camera's view, with its full distortion, as a layer to blend over its image.

Legend: V vertex, F face, N pixel, H W image.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from core.geometry import project, to_camera
from core.geometry.resize import scaled
from core.rendering.raster import rasterize
from core.rendering.surfaces import Surface
from core.types.arrays import F32, U8
from core.types.camera import Camera

_KEY = np.array([-0.42, -0.62, -0.66])  # direction to the light in camera coordinates, at the upper left
_KEY = (_KEY / np.linalg.norm(_KEY)).astype(np.float32)
_AMBIENT, _DIFFUSE, _RIM = np.float32(0.46), np.float32(0.60), np.float32(0.16)
_MARGIN_PX = 2


class Layer(NamedTuple):
    """Part of an image with transparency.

    Attributes:
        left: First column in the image.
        top: First row in the image.
        rgba: (H, W, 4) uint8 with straight (not premultiplied) alpha; may be empty.
    """

    left: int
    top: int
    rgba: U8


def draw_surface(camera: Camera, size_px: tuple[int, int], surface: Surface, samples: int = 2) -> Layer:
    """Draw a surface.

    Back faces, and faces with a vertex behind the camera or beyond its fold radius, are omitted.

    Args:
        camera: Posed camera.
        size_px: Width and height of the target image, of about the camera's aspect ratio.
        surface: Surface to draw.
        samples: Number of samples across a pixel for antialiasing; 1 uses a filter instead, which is much faster.
    """
    view = scaled(camera, size_px)
    xy = project(view, surface.vertices_mm.astype(np.float64))
    shown = np.isfinite(xy).all(-1)
    if not shown.any():
        return _EMPTY
    low = np.clip(np.floor(xy[shown].min(0)) - _MARGIN_PX, 0, size_px).astype(int)
    high = np.clip(np.ceil(xy[shown].max(0)) + _MARGIN_PX + 1, 0, size_px).astype(int)
    columns, rows = (high - low).tolist()
    if columns <= 0 or rows <= 0:
        return _EMPTY
    # Pixel centres: one pixel of the image covers `samples` x `samples` of the finer grid.
    fine = (xy - low + 0.5) * samples - 0.5
    depth = to_camera(view, surface.vertices_mm.astype(np.float64))[:, 2]
    seen = rasterize(
        fine.astype(np.float32), depth.astype(np.float32), surface.faces, (columns * samples, rows * samples)
    )
    if not len(seen.pixel):
        return _EMPTY
    corners = surface.faces.T[:, seen.face]
    rotation = view.pose[0].astype(np.float32)
    lit = surface.colours * _light(surface.normals @ rotation.T)[:, None]
    colour = sum((np.take(lit, corners[k], axis=0) * seen.weights[k][:, None] for k in range(3)), np.float32(0))
    out = np.zeros((rows * samples * columns * samples, 4), np.uint8)
    out[seen.pixel, :3] = np.clip(255 * colour, 0, 255)
    out[seen.pixel, 3] = 255
    return Layer(int(low[0]), int(low[1]), _reduced(out.reshape(rows * samples, columns * samples, 4), samples))


_EMPTY = Layer(0, 0, np.zeros((0, 0, 4), np.uint8))


def _light(normals: F32) -> F32:
    """Return the light on vertices with normals (V, 3) in camera coordinates: soft key, ambient and rim light."""
    key = np.clip((normals @ _KEY + 0.3) / 1.3, 0, None)
    rim = np.clip(1 + normals[:, 2], 0, 1) ** 3  # normals on the outline are perpendicular to the viewing direction
    return np.asarray(_AMBIENT * (0.9 - 0.1 * normals[:, 1]) + _DIFFUSE * key + _RIM * rim, np.float32)


def _reduced(fine: U8, samples: int) -> U8:
    """Return the means of blocks of samples; colours are means of the covered samples only."""
    if samples == 1:
        return _softened(fine)
    size = fine.shape[1] // samples, fine.shape[0] // samples
    mean = cv2.resize(fine, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    covered = np.maximum(mean[..., 3:], 1.0) / 255
    mean[..., :3] = np.clip(mean[..., :3] / covered, 0, 255)
    return np.asarray(mean + 0.5, np.uint8)


def _softened(rgba: U8) -> U8:
    """Return a layer of opaque pixels with softened edges."""
    soft = cv2.GaussianBlur(rgba, (3, 3), 0.6)
    edge = (rgba[..., 3] == 0) & (soft[..., 3] > 0)
    out = rgba.copy()
    outside = soft[edge].astype(np.float32)
    out[edge, :3] = np.clip(255 * outside[:, :3] / outside[:, 3:] + 0.5, 0, 255)
    out[..., 3] = soft[..., 3]
    return out


def blend(image: U8, layer: Layer, opacity: float = 1.0) -> None:
    """Blend a layer over an image (H, W, 3), in place."""
    height, width = layer.rgba.shape[:2]
    if not height or not width:
        return
    part = image[layer.top : layer.top + height, layer.left : layer.left + width]
    alpha = layer.rgba[..., 3:].astype(np.float32) * np.float32(opacity / 255)
    part[:] = part + alpha * (layer.rgba[..., :3].astype(np.float32) - part) + np.float32(0.5)
