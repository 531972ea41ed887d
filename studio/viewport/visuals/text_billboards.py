"""Text billboards: labels rendered once by Qt into a texture atlas and drawn as screen-aligned quads."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QGuiApplication, QImage, QPainter
from vispy import gloo
from vispy.scene.visuals import create_visual_node

from core.types.arrays import U8
from studio.viewport.label_placement import free_marks, place_labels
from studio.viewport.layers.labels import LabelLayer
from studio.viewport.visuals.scene_visual import Look, SceneVisual

_ATLAS_WIDTH_PX = 1024
_FONT_PX, _MUTED_FONT_PX = 13, 11
_YIELDING_PX = 6  # distance of yielding labels from their anchors
_NO_BACKGROUND = (0.0, 0.0, 0.0, 0.0)

_VERTEX = """
attribute vec3 a_position;
attribute vec2 a_offset;    // from the anchor on the screen, px
attribute vec2 a_texture;
uniform vec2 u_size;
varying vec2 v_texture;
void main() {
    vec4 p = u_to_clip * vec4(a_position, 1.0);
    if (p.w <= 0.0) {
        gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
        return;
    }
    // Whole pixels keep the text sharp.
    vec2 place = floor((p.xy / p.w * 0.5 + 0.5) * u_size + 0.5) + a_offset;
    v_texture = a_texture;
    gl_Position = vec4(place / u_size * 2.0 - 1.0, 0.0, 1.0);
}
"""

_FRAGMENT = """
uniform sampler2D u_atlas;
varying vec2 v_texture;
void main() {
    vec4 texel = texture2D(u_atlas, v_texture);
    if (texel.a < 0.004) discard;
    gl_FragColor = texel;
}
"""

_LAYOUT = np.dtype([("a_position", np.float32, 3), ("a_offset", np.float32, 2), ("a_texture", np.float32, 2)])


@dataclass(frozen=True, slots=True)
class _Label:
    text: str
    colour: tuple[float, ...]
    background: tuple[float, ...]
    muted: bool


class TextBillboardVisual(SceneVisual):
    """All labels of a layer in one draw call. The atlas is rendered again only when a text or a colour changes."""

    def __init__(self) -> None:
        super().__init__(_VERTEX, _FRAGMENT)
        self._vertices = gloo.VertexBuffer(np.zeros(4, _LAYOUT))
        self._texture = gloo.Texture2D(np.zeros((1, 1, 4), np.uint8), interpolation="nearest")
        self._labels: tuple[_Label, ...] = ()
        self._tiles = np.zeros((0, 4))
        self._ratio = 1.0
        self._layer: LabelLayer | None = None
        self._placed: np.ndarray | None = None
        self._draw_mode = "triangles"
        self.shared_program["u_atlas"] = self._texture
        self.shared_program.bind(self._vertices)
        # Qt's colours are premultiplied.
        self.set_gl_state(depth_test=False, blend=True, cull_face=False, blend_func=("one", "one_minus_src_alpha"))
        self.freeze()

    def set_labels(self, layer: LabelLayer, ratio: float) -> None:
        """Replace the labels.

        Args:
            layer: Labels.
            ratio: Device pixels per logical pixel.
        """
        labels = tuple(
            _Label(text, tuple(colour), _NO_BACKGROUND if layer.behind else tuple(layer.background), bool(muted))
            for text, colour, muted in zip(layer.texts, layer.colour.tolist(), layer.muted, strict=True)
        )
        if labels != self._labels or ratio != self._ratio:
            atlas, self._tiles = _render_atlas(labels, ratio)
            self._labels, self._ratio = labels, ratio
            self._texture.resize(atlas.shape)
            self._texture.set_data(atlas)
            quads = (np.arange(len(labels), dtype=np.uint32) * 4)[:, None] + np.array([0, 1, 2, 0, 2, 3], np.uint32)
            self._index_buffer = gloo.IndexBuffer(quads.ravel())
        self._layer, self._placed = layer, None
        self.update()

    def _offsets(self, view: Any, look: Look, layer: LabelLayer) -> np.ndarray:
        """Return the lower left corners (N, 2) relative to the anchors, px; NaN for labels that are not drawn."""
        size = self._tiles[:, 2:]
        anchor = self._anchors(view, look, layer, size)
        if layer.behind:
            return np.where(free_marks(anchor, size)[:, None], np.floor(-size / 2), np.nan)
        marks = None
        if layer.marks is not None:
            mark_size = _sizes_px(layer.marks.texts, self._ratio)
            middle = self._anchors(view, look, layer.marks, mark_size)
            marks = np.concatenate([middle - mark_size / 2, middle + mark_size / 2], 1)
        low, visible = place_labels(anchor, size, layer.muted, _YIELDING_PX * self._ratio, marks)
        return np.where(visible[:, None], low - anchor, np.nan)

    def _anchors(self, view: Any, look: Look, layer: LabelLayer, size: np.ndarray) -> np.ndarray:
        """Return the anchors (N, 2) on whole pixels, y upwards; NaN for labels, with sizes (N, 2), out of view."""
        clip = look.to_clip(layer.xyz_mm)
        shown = clip[:, 3] > 0
        screen = np.asarray(view.canvas.physical_size, float)
        anchor = np.floor((clip[:, :2] / np.where(shown, clip[:, 3], 1.0)[:, None] * 0.5 + 0.5) * screen + 0.5)
        anchor[~shown | (anchor < -size).any(1) | (anchor > screen + size).any(1)] = np.nan
        return np.asarray(anchor)

    def _quads(self, layer: LabelLayer, offset: np.ndarray) -> np.ndarray:
        x, y, width, height = self._tiles.T
        table = np.zeros((len(layer.texts), 4), _LAYOUT)
        table["a_position"] = layer.xyz_mm[:, None]
        hidden = np.isnan(offset).any(1)
        left, low = np.where(hidden[:, None], 0.0, offset).T
        right, high = np.where(hidden, 0.0, (left + width, low + height))
        table["a_offset"] = np.stack(
            [
                np.stack([left, high], -1),
                np.stack([right, high], -1),
                np.stack([right, low], -1),
                np.stack([left, low], -1),
            ],
            1,
        )
        corner = np.stack([(x, y), (x + width, y), (x + width, y + height), (x, y + height)], 0)  # (4, 2, N)
        table["a_texture"] = corner.transpose(2, 0, 1) / (self._texture.shape[1], self._texture.shape[0])
        return table

    def _prepare_draw(self, view: Any) -> bool:
        layer = self._layer
        if layer is None or not layer.texts:
            return False
        look = self._look(view)
        self._set(view, u_size=view.canvas.physical_size)
        offset = self._offsets(view, look, layer)
        if self._placed is None or not np.array_equal(offset, self._placed, equal_nan=True):
            self._vertices.set_data(self._quads(layer, offset).ravel())
            self._placed = offset
        return True


@functools.lru_cache(maxsize=4)
def _sizes_px(texts: tuple[str, ...], ratio: float) -> np.ndarray:
    """Return the widths and heights (N, 2) of muted labels."""
    metrics = QFontMetricsF(_font(True, ratio))
    return np.array([(metrics.horizontalAdvance(text), metrics.height()) for text in texts]).reshape(-1, 2)


def _render_atlas(labels: tuple[_Label, ...], ratio: float) -> tuple[U8, np.ndarray]:
    """Return the atlas (H, W, 4), premultiplied RGBA, and the box of each label in it (N, 4): x, y, width, height."""
    fonts = {muted: _font(muted, ratio) for muted in (False, True)}
    tiles = np.zeros((len(labels), 4))
    x = y = row = 0
    for index, label in enumerate(labels):
        metrics = QFontMetricsF(fonts[label.muted])
        pad = 0.0 if label.muted else 7 * ratio
        width = int(np.ceil(metrics.horizontalAdvance(label.text) + 2 * pad)) + 2
        height = int(np.ceil(metrics.height() + (2 if label.muted else 6) * ratio))
        if x + width > _ATLAS_WIDTH_PX:
            x, y, row = 0, y + row + 1, 0
        tiles[index] = x, y, width, height
        x, row = x + width + 1, max(row, height)
    image = QImage(_ATLAS_WIDTH_PX, max(1, y + row), QImage.Format.Format_RGBA8888_Premultiplied)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    for label, (left, top, width, height) in zip(labels, tiles, strict=True):
        box = QRectF(left, top, width, height)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor.fromRgbF(*label.background))
        painter.drawRoundedRect(box, height / 2, height / 2)
        painter.setFont(fonts[label.muted])
        painter.setPen(QColor.fromRgbF(*label.colour))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, label.text)
    painter.end()
    pixels = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine() // 4, 4)
    return pixels[:, :_ATLAS_WIDTH_PX].copy(), tiles


def _font(muted: bool, ratio: float) -> QFont:
    font = QFont(QGuiApplication.font())
    font.setPixelSize(round((_MUTED_FONT_PX if muted else _FONT_PX) * ratio))
    font.setWeight(QFont.Weight.Normal if muted else QFont.Weight.DemiBold)
    # Subpixel smoothing assumes an opaque background.
    font.setStyleStrategy(QFont.StyleStrategy.NoSubpixelAntialias)
    return font


TextBillboardNode: Any = create_visual_node(TextBillboardVisual)
