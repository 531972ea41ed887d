"""Images from running cameras: where they come from, and how they become a take on disk."""
