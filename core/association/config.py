"""Settings of matching people across views and triangulating them without training."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationConfig:
    """Matching and triangulation.

    Attributes:
        min_joint_score: 2D joints below this are not used.
        min_views: Fewest views of a person.
    """

    min_joint_score: float = 0.2
    min_views: int = 2
