"""Words in the scene: drawn once by Qt into a texture, then placed as quads, so they are as crisp as other text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QGuiApplication, QImage, QPainter
from vispy import gloo
from vispy.scene.visuals import create_visual_node
from vispy.visuals import Visual

from core.types.arrays import U8
from studio.viewport.layers import LabelLayer

_ATLAS_WIDTH_PX = 1024
_LOUD_PX, _QUIET_PX = 13, 11
_NO_PLATE = (0.0, 0.0, 0.0, 0.0)

_VERTEX = """
attribute vec3 a_position;
attribute vec2 a_offset;    // from the place on the screen, px
attribute vec2 a_texture;
uniform vec2 u_size;
varying vec2 v_texture;
void main() {
    vec4 p = $transform(vec4(a_position, 1.0));
    if (p.w <= 0.0) {
        gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
        return;
    }
    // Whole pixels keep the letters sharp.
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
class _Caption:
    text: str
    colour: tuple[float, ...]
    plate: tuple[float, ...]
    quiet: bool


class TextBillboardVisual(Visual):
    """All labels of a layer in one call; the texture is drawn anew only when a word or a colour changes."""

    def __init__(self) -> None:
        super().__init__(_VERTEX, _FRAGMENT)
        self._vertices = gloo.VertexBuffer(np.zeros(4, _LAYOUT))
        self._texture = gloo.Texture2D(np.zeros((1, 1, 4), np.uint8), interpolation="nearest")
        self._captions: tuple[_Caption, ...] = ()
        self._tiles = np.zeros((0, 4))
        self._ratio = 1.0
        self._count = 0
        self._draw_mode = "triangles"
        self.shared_program["u_atlas"] = self._texture
        self.shared_program.bind(self._vertices)
        # Qt's colours are premultiplied.
        self.set_gl_state(depth_test=False, blend=True, cull_face=False, blend_func=("one", "one_minus_src_alpha"))
        self.freeze()

    def set_labels(self, layer: LabelLayer, ratio: float) -> None:
        """Replaces what is drawn; `ratio` is the screen's pixels per logical pixel."""
        captions = tuple(
            _Caption(text, tuple(colour), _NO_PLATE if quiet else tuple(layer.plate), bool(quiet))
            for text, colour, quiet in zip(layer.texts, layer.colour.tolist(), layer.quiet, strict=True)
        )
        if captions != self._captions or ratio != self._ratio:
            atlas, self._tiles = _draw(captions, ratio)
            self._captions, self._ratio = captions, ratio
            self._texture.resize(atlas.shape)
            self._texture.set_data(atlas)
        self._count = len(captions)
        if self._count:
            self._vertices.set_data(self._quads(layer).ravel())
            quads = (np.arange(self._count, dtype=np.uint32) * 4)[:, None] + np.array([0, 1, 2, 0, 2, 3], np.uint32)
            self._index_buffer = gloo.IndexBuffer(quads.ravel())
        self.update()

    def _quads(self, layer: LabelLayer) -> np.ndarray:
        x, y, width, height = self._tiles.T
        table = np.zeros((self._count, 4), _LAYOUT)
        table["a_position"] = layer.xyz_mm[:, None]
        left, right = np.floor(-width / 2), np.floor(-width / 2) + width
        low = np.where(layer.above, np.where(layer.quiet, 6 * self._ratio, 0), np.floor(-height / 2))
        table["a_offset"] = np.stack(
            [
                np.stack([left, low + height], -1),
                np.stack([right, low + height], -1),
                np.stack([right, low], -1),
                np.stack([left, low], -1),
            ],
            1,
        )
        corner = np.stack([(x, y), (x + width, y), (x + width, y + height), (x, y + height)], 0)  # (4, 2, N)
        table["a_texture"] = corner.transpose(2, 0, 1) / (self._texture.shape[1], self._texture.shape[0])
        return table

    def _prepare_transforms(self, view: Any) -> None:
        view.view_program.vert["transform"] = view.transforms.get_transform("visual", "render")

    def _prepare_draw(self, view: Any) -> bool:
        view.view_program["u_size"] = [float(s) for s in view.canvas.physical_size]
        return self._count > 0

    def _compute_bounds(self, axis: int, view: Any) -> None:
        """None: the canvas frames the scene by itself."""
        return


def _draw(captions: tuple[_Caption, ...], ratio: float) -> tuple[U8, np.ndarray]:
    """The texture (H, W, 4) premultiplied RGBA, and where each caption lies in it (N, 4) x y width height, px."""
    fonts = {quiet: _font(quiet, ratio) for quiet in (False, True)}
    tiles = np.zeros((len(captions), 4))
    x = y = row = 0
    for index, caption in enumerate(captions):
        metrics = QFontMetricsF(fonts[caption.quiet])
        pad = 0.0 if caption.quiet else 7 * ratio
        width = int(np.ceil(metrics.horizontalAdvance(caption.text) + 2 * pad)) + 2
        height = int(np.ceil(metrics.height() + (2 if caption.quiet else 6) * ratio))
        if x + width > _ATLAS_WIDTH_PX:
            x, y, row = 0, y + row + 1, 0
        tiles[index] = x, y, width, height
        x, row = x + width + 1, max(row, height)
    image = QImage(_ATLAS_WIDTH_PX, max(1, y + row), QImage.Format.Format_RGBA8888_Premultiplied)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    for caption, (left, top, width, height) in zip(captions, tiles, strict=True):
        box = QRectF(left, top, width, height)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor.fromRgbF(*caption.plate))
        painter.drawRoundedRect(box, height / 2, height / 2)
        painter.setFont(fonts[caption.quiet])
        painter.setPen(QColor.fromRgbF(*caption.colour))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, caption.text)
    painter.end()
    pixels = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine() // 4, 4)
    return pixels[:, :_ATLAS_WIDTH_PX].copy(), tiles


def _font(quiet: bool, ratio: float) -> QFont:
    font = QFont(QGuiApplication.font())
    font.setPixelSize(round((_QUIET_PX if quiet else _LOUD_PX) * ratio))
    font.setWeight(QFont.Weight.Normal if quiet else QFont.Weight.DemiBold)
    # Subpixel smoothing assumes an opaque background.
    font.setStyleStrategy(QFont.StyleStrategy.NoSubpixelAntialias)
    return font


TextBillboardNode: Any = create_visual_node(TextBillboardVisual)
