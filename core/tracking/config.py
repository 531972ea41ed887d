"""Settings of tracking, plausibility filters and smoothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingConfig:
    """Settings of tracking, plausibility filters and smoothing.

    Attributes:
        max_distance_mm: Largest mean joint distance between a track's predicted pose and a person assigned to it.
        drift_mm_s: Growth rate of `max_distance_mm` with the time since a person was last seen.
        max_gap_s: Longest gap within a track, after which a new track begins. Persons in consecutive frames are always
            continued, even if the frames are further apart.
        confirm_s: Minimum total time for which a person is seen in the take; others are discarded. A single frame is
            enough if frames are further apart.
        stitch_gap_s: Longest gap between two tracks that are joined by position and bone lengths.
        max_stretch: Maximum relative deviation of a bone from the person's median length; joints beyond it are removed.
        max_joint_m_s: Maximum speed of a joint in m/s; joints that jump away and back faster than this are removed.
        smoothing: Filter over joint positions: One-Euro, Rauch-Tung-Striebel (Kalman) smoother, or none.
        one_euro_cutoff_hz: Minimum cut-off frequency of the One-Euro filter in Hz.
        one_euro_speed: Speed coefficient of the One-Euro filter in Hz per m/s.
        rts_accel_mm_s2: Acceleration noise of the Kalman smoother (standard deviation per root second).
        rts_noise_mm: Measurement noise of the Kalman smoother for joints without a covariance.
    """

    max_distance_mm: float = 450.0
    drift_mm_s: float = 1000.0
    max_gap_s: float = 0.5
    confirm_s: float = 0.13
    stitch_gap_s: float = 3.0
    max_stretch: float = 0.35
    max_joint_m_s: float = 12.0
    smoothing: Literal["none", "one_euro", "rts"] = "none"
    one_euro_cutoff_hz: float = 2.0
    one_euro_speed: float = 4.0
    rts_accel_mm_s2: float = 4000.0
    rts_noise_mm: float = 15.0
