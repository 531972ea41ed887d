"""Declaration of settings that take names of a registry."""

from __future__ import annotations

from dataclasses import field
from typing import Any

REGISTRY = "registry"
"""Key in a field's metadata: `package.module:name` of the registry whose names the field takes."""


def name_in(registry: str, default: Any) -> Any:
    """Declare a field that takes names of a registry, so that its help text lists them."""
    return field(default=default, metadata={REGISTRY: registry})
