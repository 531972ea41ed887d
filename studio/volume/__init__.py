"""Editor of the capture volume, shared by the pages that show it."""
