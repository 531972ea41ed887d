"""Nonlinear least squares: robust losses, Levenberg-Marquardt, and elimination of structured unknowns."""
