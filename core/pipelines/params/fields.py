"""Declaration of settings that take names of a registry."""

from __future__ import annotations

from dataclasses import field
from typing import Any

REGISTRY = "registry"
"""Metadata key of a field: `package.module:name` of the registry that contains its allowed names."""


def name_in(registry: str, default: Any) -> Any:
    """Declare a field for names of a registry, which its help text lists."""
    return field(default=default, metadata={REGISTRY: registry})
