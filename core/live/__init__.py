"""Live 3D: people of running cameras reconstructed in real time, in a separate process."""
