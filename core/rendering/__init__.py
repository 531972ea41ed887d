"""Pictures of bodies and skeletons, drawn without a display: over camera images, and from any viewpoint."""
