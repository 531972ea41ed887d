"""The capture volume in words and in fields, wherever a page shows it."""
