"""Live 3D: people of running cameras in 3D while they move, in a process beside the recording."""
