"""Running cameras: sources, their synchronisation, recording and live images."""
