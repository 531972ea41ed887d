"""3D view: scene data, a table of layers, their visuals and the canvas."""
