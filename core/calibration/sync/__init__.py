"""Sync certificates: measurement of camera clocks in the images of a take."""
