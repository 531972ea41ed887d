"""Mapping of cameras' clocks onto the shared clock, on simulated networks with exact truth."""

from __future__ import annotations

import numpy as np
import pytest

from core.capture.source_clock import SourceClock

OFFSET_NS = 5_000_000_000


def mapped(source_ns: np.ndarray, arrival_ns: np.ndarray) -> np.ndarray:
    clock = SourceClock()
    out = []
    for source, arrival in zip(source_ns.tolist(), arrival_ns.tolist(), strict=True):
        clock.add(source, arrival)
        out.append(clock.time_ns(source))
    return np.array(out)


@pytest.mark.parametrize("drift_ppm", [0, 100, -100])
def test_times_follow_the_clock_and_not_the_network(drift_ppm: float) -> None:
    rng = np.random.default_rng(0)
    true_ns = np.arange(2000) * 33_333_333 + OFFSET_NS
    source_ns = ((true_ns - OFFSET_NS) * (1 + drift_ppm * 1e-6)).astype(np.int64)
    delay_ns = rng.exponential(4e6, 2000).astype(np.int64)
    delay_ns[700:760] += np.arange(2_000_000_000, 0, -33_333_334)  # a stall, caught up in a burst
    delay_ns[rng.random(2000) < 0.02] += 150_000_000
    error_ms = (mapped(source_ns, true_ns + delay_ns) - true_ns)[60:] / 1e6
    assert abs(np.median(error_ms)) < 2 and np.ptp(error_ms) < 3


def test_a_camera_that_restarts_its_clock_is_followed() -> None:
    true_ns = np.arange(400) * 33_333_333 + OFFSET_NS
    for jump_ns in (-(10**12), 10**12):
        source_ns = true_ns - OFFSET_NS
        source_ns[200:] += jump_ns
        error_ms = abs(mapped(source_ns, true_ns + 1_000_000) - true_ns) / 1e6
        assert error_ms[:200].max() < 2 and error_ms[270:].max() < 2


def test_times_increase_even_while_the_first_estimate_improves() -> None:
    true_ns = np.arange(60) * 33_333_333 + OFFSET_NS
    delay_ns = np.maximum(0, 800_000_000 - np.arange(60) * 100_000_000)  # buffered while the stream was opened
    assert (np.diff(mapped(true_ns - OFFSET_NS, true_ns + delay_ns)) > 0).all()
