"""Menus, toolbars and shortcuts as data over one registry of actions."""
