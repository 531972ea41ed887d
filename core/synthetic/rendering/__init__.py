"""Images of people in a room with exact truth: a software rasteriser for calibrated cameras with lens distortion."""
