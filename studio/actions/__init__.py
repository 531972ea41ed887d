"""Registry and menus of the window's actions."""
