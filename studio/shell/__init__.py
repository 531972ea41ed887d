"""Frame of the window around the pages: navigation, bars, welcome page and dialogs."""
