"""Dialog in which three floor points are clicked."""
