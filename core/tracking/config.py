"""Settings of identity over time and of smoothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingConfig:
    """Identity over time.

    Attributes:
        smoothing: Filter over each joint's path; "none" leaves the measurements as they are.
    """

    smoothing: Literal["none", "one_euro", "rts"] = "none"
