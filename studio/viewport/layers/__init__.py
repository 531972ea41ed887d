"""Layers of the 3D view, one module per layer: model, builder, visual and toggle.

`table.LAYERS` lists them. Layer modules import OpenGL only when a visual is created, so models and builders are tested
without a window. Coordinates are world millimetres; colours are (..., 4) RGBA in 0..1. Letters in shapes: P person,
J joint, B bone, N point, V view.
"""
