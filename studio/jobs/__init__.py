"""Jobs of the window: child processes that are monitored through their files."""
