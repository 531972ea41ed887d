"""Networks that turn heatmaps or images of several views into 3D people. Needs torch; imports no session."""
