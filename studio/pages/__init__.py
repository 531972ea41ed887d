"""Pages of the window, one folder each; pages do not import each other."""
