"""Result of a check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FindingLevel = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Result of one check.

    Attributes:
        check: Name of the check, such as "floor".
        level: "ok", "warning" (to be examined) or "error" (3D will not work).
        message: Sentence on the result.
        remedy: Sentence on how to resolve it; empty if ok.
        camera: Name of the camera concerned; empty for the whole rig.
    """

    check: str
    level: FindingLevel
    message: str
    remedy: str = ""
    camera: str = ""
