"""Whether this machine can draw OpenGL in a window, and how fast that will be."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from PySide6.QtGui import QGuiApplication, QOffscreenSurface, QOpenGLContext

_GL_RENDERER = 0x1F01
_SOFTWARE = ("llvmpipe", "softpipe", "swiftshader", "basic render")
# These Qt platforms hand out contexts that cannot show a QOpenGLWidget.
_WINDOWLESS = ("offscreen", "minimal", "minimalegl", "vnc", "eglfs")


@dataclass(frozen=True, slots=True)
class GlSupport:
    """What was found.

    Attributes:
        problem: Why nothing can be drawn, in words; empty if it can.
        renderer: The driver's name.
        software: Whether the processor does the drawing.
    """

    problem: str
    renderer: str = ""
    software: bool = False

    @property
    def samples(self) -> int:
        """Samples per pixel worth asking for."""
        return 0 if self.software else 4


@functools.cache
def gl_support() -> GlSupport:
    """Makes a context and asks it for its name. Needs the application; the answer is kept."""
    platform = QGuiApplication.platformName()
    if platform in _WINDOWLESS:
        return GlSupport(f"The '{platform}' display cannot show 3D.")
    context = QOpenGLContext()
    context.setShareContext(QOpenGLContext.globalShareContext())
    surface = QOffscreenSurface()
    surface.create()
    if not context.create() or not context.makeCurrent(surface):
        return GlSupport("No OpenGL driver was found.")
    try:
        renderer = str(context.functions().glGetString(_GL_RENDERER) or "unknown")
    finally:
        context.doneCurrent()
    return GlSupport("", renderer, any(name in renderer.lower() for name in _SOFTWARE))
