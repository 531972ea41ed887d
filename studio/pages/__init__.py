"""The pages of the window, one folder each; no page knows another."""
