"""One file format a module; nothing here is imported before it is asked for."""
