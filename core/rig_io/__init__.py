"""Import and export of rigs in the file formats of other programs."""
