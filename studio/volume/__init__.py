"""Editor of the capture volume, shared by several pages."""
