"""Timeline and playback clock."""
