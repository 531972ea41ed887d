"""Kinds of camera, one module each; listed in `core.capture.source.SOURCES`."""
