"""Everything around the pages: navigation, bars, welcome page, dialogs."""
