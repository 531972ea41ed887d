"""Industrial cameras: GenICam over GigE Vision and USB3 Vision, through the package viva-genicam."""

from core.capture.sources.genicam.kind import KIND

__all__ = ["KIND"]
