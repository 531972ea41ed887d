"""Images of cameras: views, tiles, video panes, decoding and overlays."""
