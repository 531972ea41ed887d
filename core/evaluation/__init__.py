"""How good 3D people are: against exact truth where there is one, and against a camera that was left out where not."""
