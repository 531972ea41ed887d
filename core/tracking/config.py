"""Settings of identity over time and of smoothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingConfig:
    """Identity over time.

    Attributes:
        max_distance_mm: A person found further than this from where they were expected is somebody else.
        drift_mm_s: How fast that distance grows while a person is not seen.
        max_gap_s: How long a person may be missing and still be continued at once.
        confirm_frames: A person seen in fewer frames in all is a ghost.
        stitch_gap_s: How long a person may be missing and still be recognised by place and bone lengths.
        stitch_bones: Largest mean relative difference of bone lengths of one person.
        max_stretch: A joint is taken out if its bones differ from the person's usual ones by more than this share.
        max_joint_m_s: A joint is taken out if it goes somewhere and back faster than this.
        smoothing: Filter over each joint's path; "none" leaves the measurements as they are.
        one_euro_cutoff_hz: One-Euro filter: cut-off frequency at rest.
        one_euro_speed: One-Euro filter: how much the cut-off rises with speed, Hz per m/s.
        rts_accel_mm_s2: Kalman smoother: standard deviation of acceleration per root second.
        rts_noise_mm: Kalman smoother: measurement noise where no covariance is known.
    """

    max_distance_mm: float = 450.0
    drift_mm_s: float = 1000.0
    max_gap_s: float = 0.5
    confirm_frames: int = 4
    stitch_gap_s: float = 3.0
    stitch_bones: float = 0.12
    max_stretch: float = 0.35
    max_joint_m_s: float = 12.0
    smoothing: Literal["none", "one_euro", "rts"] = "none"
    one_euro_cutoff_hz: float = 2.0
    one_euro_speed: float = 4.0
    rts_accel_mm_s2: float = 4000.0
    rts_noise_mm: float = 15.0
