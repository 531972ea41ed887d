"""View: the take in 3D and in the cameras' images, frame by frame."""
