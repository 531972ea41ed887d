"""The window. The only package that imports Qt, vispy or pyqtgraph; it never imports torch."""
