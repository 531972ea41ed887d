"""Bundle adjustment of cameras and the trajectory of a board."""
