"""Widget of a canvas that a software renderer draws: off the screen, then as an image among the other widgets."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QImage, QOffscreenSurface, QOpenGLContext, QPainter, QPaintEvent, QResizeEvent, QSurfaceFormat
from PySide6.QtOpenGL import QOpenGLFramebufferObject
from PySide6.QtWidgets import QWidget
from vispy.app.backends._pyside6 import _qt

_DEPTH_BITS = 24


class SoftwareWidget(_qt.QtBaseCanvasBackend, QWidget):
    """Backend of a vispy canvas in place of the `QOpenGLWidget`.

    One `QOpenGLWidget` lets OpenGL compose its whole window, twice over, at each change of any widget. A software
    renderer takes longer for that than for the scene; copying the drawn image takes a tenth of it.
    """

    def _init_specific(self, settings: Any, kwargs: dict[str, Any]) -> None:
        settings.context.shared.add_ref("qt", self)
        QWidget.__init__(self, settings.parent)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        gl_format = QSurfaceFormat()
        gl_format.setDepthBufferSize(_DEPTH_BITS)
        self._gl, self._surface = QOpenGLContext(), QOffscreenSurface()
        for part in (self._gl, self._surface):
            part.setFormat(gl_format)
            part.create()
        self._target: QOpenGLFramebufferObject | None = None
        self._announced = False
        self._initialized = True

    def grabFramebuffer(self) -> QImage:
        """Draw the canvas and return its image."""
        self._vispy_set_current()
        width, height = (int(side) for side in self._vispy_get_physical_size())
        size = QSize(max(width, 1), max(height, 1))
        if self._target is None or self._target.size() != size:
            self._target = QOpenGLFramebufferObject(size, QOpenGLFramebufferObject.Attachment.Depth)
        self._target.bind()
        self._gl.functions().glViewport(0, 0, size.width(), size.height())
        self._vispy_canvas.set_current()  # tells vispy the framebuffer of the screen
        if not self._announced:
            self._announced = True
            self._vispy_canvas.events.initialize()
        self._vispy_canvas.events.draw(region=None)
        image = self._target.toImage()
        # Blended parts have an opacity below 1, but nothing is behind the canvas.
        image.reinterpretAsFormat(QImage.Format.Format_RGB32)
        image.setDevicePixelRatio(self.devicePixelRatioF())
        return image

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the canvas."""
        if self._vispy_canvas is not None:
            image = self.grabFramebuffer()
            painter = QPainter(self)
            painter.drawImage(0, 0, image)
            painter.end()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Give the canvas its size."""
        self.resizeGL(event.size().width(), event.size().height())

    def resizeGL(self, width: int, height: int) -> None:
        """Give the canvas its size; the base class calls it when the window comes to another screen."""
        if self._vispy_canvas is not None:
            ratio = self.devicePixelRatioF()
            size = int(width * ratio), int(height * ratio)
            self._vispy_set_physical_size(*size)
            self._vispy_canvas.events.resize(size=(width, height), physical_size=size)

    def _vispy_get_fb_bind_location(self) -> int:
        return 0 if self._target is None else int(self._target.handle())

    def _vispy_set_current(self) -> None:
        self._gl.makeCurrent(self._surface)

    def _vispy_swap_buffers(self) -> None:
        """Do nothing: the image is read when it is complete."""

    def _vispy_close(self) -> None:
        self._vispy_set_current()
        self._target = None
        self._gl.doneCurrent()
        self.close()
