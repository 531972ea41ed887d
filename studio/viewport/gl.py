"""OpenGL support of this computer and its renderer."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from PySide6.QtGui import QGuiApplication, QOffscreenSurface, QOpenGLContext

_GL_RENDERER = 0x1F01
_SOFTWARE = ("llvmpipe", "softpipe", "swiftshader", "basic render")
# Contexts of these Qt platforms cannot show a QOpenGLWidget.
_WINDOWLESS = ("offscreen", "minimal", "minimalegl", "vnc", "eglfs")


@dataclass(frozen=True, slots=True)
class GlSupport:
    """OpenGL support.

    Attributes:
        problem: Reason why OpenGL cannot be used; empty if it can.
        renderer: Name of the renderer.
        software: True if the renderer runs on the CPU.
    """

    problem: str
    renderer: str = ""
    software: bool = False


@functools.cache
def gl_support() -> GlSupport:
    """Create a context and query its renderer. Needs the application; the answer is cached."""
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
