"""The 3D view: what to draw (`layers`, `resolve`) apart from how it is drawn (`canvas`, `visuals`)."""
