"""State of the window: the selected session, take and result. Everything else is read from disk."""
