"""Images of bodies and skeletons, rendered without a display: over camera images, and from any viewpoint."""
