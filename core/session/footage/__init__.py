"""Footage to import takes from: videos, image sequences, streams and recordings of other programs."""
