"""What exports leave behind."""
