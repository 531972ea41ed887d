"""From footage to 3D: the steps, the live losses, and the figures that say what is better."""
