"""Manifests of exports."""
