"""Measured errors for synthetic detections: replayed, or varied so that they cannot be memorised."""

from __future__ import annotations

import numpy as np
import pytest

from core.synthetic.estimator_errors import ErrorBank


@pytest.fixture(scope="module")
def bank() -> ErrorBank:
    return ErrorBank.load("movenet", "train")


def lengths(error: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Return the lengths of finite errors."""
    return np.linalg.norm(error, axis=-1)[score > 0]


def test_errors_are_replayed_measurements(bank: ErrorBank) -> None:
    """Every drawn error is a measured one, possibly mirrored, and successive frames belong together."""
    error, score = bank.draw(30, bank.fps, np.random.default_rng(0), (3,))
    known = {tuple(np.round(np.abs(e), 6)) for e in bank.error[bank.score > 0]}
    assert all(tuple(np.round(np.abs(e), 6)) in known for e in error[score > 0])
    assert (
        lengths(np.diff(error, axis=1), np.minimum(score[:, 1:], score[:, :-1])).mean() < lengths(error, score).mean()
    )


def test_varied_errors_differ_and_have_the_same_distribution(bank: ErrorBank) -> None:
    rng = np.random.default_rng(1)
    plain, varied = (bank.draw(20, 30.0, rng, (300,), varied=v) for v in (False, True))
    assert varied[0].shape == plain[0].shape == (300, 20, 17, 2)
    known = {tuple(np.round(np.abs(e), 6)) for e in bank.error[bank.score > 0]}
    assert np.mean([tuple(np.round(np.abs(e), 6)) in known for e in varied[0][varied[1] > 0][:2000]]) < 0.01
    for q in (25, 50, 90):
        ratio = np.percentile(lengths(*varied), q) / np.percentile(lengths(*plain), q)
        assert 0.9 < ratio < 1.5
    assert abs((varied[1] > 0).mean() - (plain[1] > 0).mean()) < 0.03
    # Random rotation: no direction is preferred, unlike in the footage of few people.
    mean = np.nanmean(np.where(varied[1][..., None] > 0, varied[0], np.nan), (0, 1))
    assert np.median(np.linalg.norm(mean, axis=-1)) < 0.3 * np.nanmedian(lengths(*varied))


def test_the_same_seed_gives_the_same_errors(bank: ErrorBank) -> None:
    one, two = (bank.draw(5, 60.0, np.random.default_rng(3), (2, 2), varied=True) for _ in range(2))
    assert np.array_equal(one[0], two[0], equal_nan=True) and one[1].shape == (2, 2, 5, 17)
