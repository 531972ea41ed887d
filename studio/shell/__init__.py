"""The frame around the pages: navigation, bars, welcome, dialogs."""
