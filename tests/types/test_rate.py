"""Frame rates over whole recordings, whatever the resolution of the times."""

from __future__ import annotations

import numpy as np
import pytest

from core.types.rate import frame_rate, steady_times

NTSC = 1000 / 1001


@pytest.mark.parametrize("n", [40, 60, 300, 20_000])
@pytest.mark.parametrize("rate", [24 * NTSC, 25, 30 * NTSC, 30, 50, 60 * NTSC, 60, 90, 120, 240, 300, 500])
def test_whole_milliseconds_give_the_rate(rate: float, n: int) -> None:
    times = np.round(np.arange(n) / rate * 1000) / 1000
    assert frame_rate(times, rate) == pytest.approx(rate, rel=1e-12)
    if n >= 60:
        assert frame_rate(times) == pytest.approx(rate, rel=1e-12), "without a stated rate"
    np.testing.assert_allclose(steady_times(times, rate, 1e-3), np.arange(n) / rate, atol=1e-12)


@pytest.mark.parametrize("rate", [30 * NTSC, 60])
def test_dropped_images_and_slow_clocks_do_not_change_it(rate: float) -> None:
    kept = np.flatnonzero(np.random.default_rng(0).random(600) > 0.2)
    assert frame_rate(np.round(kept / rate * 1000) / 1000) == pytest.approx(rate, rel=1e-12)
    assert frame_rate(kept / rate * (1 + 1e-4)) == pytest.approx(rate, rel=1e-12)


@pytest.mark.parametrize("rate", [29.5, 55.25, 61.0, 0.25, 18.3])
def test_other_rates_stay_as_they_are(rate: float) -> None:
    assert frame_rate(np.arange(200) / rate) == pytest.approx(rate, rel=1e-9)


def test_a_stated_rate_that_does_not_fit_is_ignored() -> None:
    assert frame_rate(np.arange(60) / 60, 25.0) == 60


def test_bursts_and_variable_rates() -> None:
    bursts = np.sort(np.concatenate([np.arange(100) * 0.1, np.arange(100) * 0.1 + 0.001]))
    assert frame_rate(bursts) == pytest.approx(20, rel=0.02)
    phone = np.cumsum(np.where(np.random.default_rng(1).random(900) < 0.7, 1 / 30, 1 / 20))
    assert frame_rate(phone) == 30
    assert steady_times(phone - phone[0], 30, 1e-3) is not None
    np.testing.assert_array_equal(steady_times(phone - phone[0], 30, 1e-3), phone - phone[0])
