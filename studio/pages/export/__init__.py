"""3D results as files of other tools."""
