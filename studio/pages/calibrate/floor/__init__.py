"""Dialog for world coordinates from three clicked floor points."""
