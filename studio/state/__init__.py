"""What the window knows: which session, take and result are looked at. Everything else is read from disk."""
