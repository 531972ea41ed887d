"""The capture space in words and in fields, wherever a page shows it."""
