"""Where the cameras stand: the rig, what its check found, and how it looks over the images."""
