"""Clocks measured in the images: offsets, drifts and missing images that the recorded times do not show."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from core.board.pattern import Board
from core.calibration.people.bundle import CameraPoses
from core.calibration.sync.board import BoardEvidence, find_lost_images, joined_jumps
from core.calibration.sync.certificate import CameraSync, ClockReport, FoundDrop, SyncCertificate, summarise
from core.calibration.sync.clock_fit import FittedClocks, fit_clocks, usual_share
from core.calibration.sync.delays import PairDelays
from core.calibration.sync.estimate import MeasuredClocks
from core.calibration.sync.flash import clocks_by_flashes, find_flashes, read_brightness
from core.calibration.sync.missing import find_clock_step, suspected_jumps
from core.calibration.sync.people import PeopleEvidence, clocks_by_people, far_from_search
from core.pose2d.excerpt import estimate_excerpt
from core.progress import NullReporter
from core.session import Session, Timeline
from core.session.clocks import CameraClock, DroppedImages
from core.synthetic.board_scene import board_scene
from core.synthetic.people_scene import record_people
from core.synthetic.rigs import ring_rig

PERIOD_S = 1 / 30


def by_people(clocks: list[CameraClock], seconds: float, seed: int) -> MeasuredClocks:
    rig, count = ring_rig(len(clocks)), int(seconds / PERIOD_S)
    time_s, image = np.arange(count) * PERIOD_S, np.arange(count)
    error_s = np.stack([c.error_s(time_s, image) for c in clocks])
    scene = record_people(rig, people=2, seed=seed, seconds=seconds, clock_error_s=error_s)
    recorded, images = (np.repeat(x[:, None], len(rig), 1) for x in (time_s, image))
    return clocks_by_people(PeopleEvidence(rig, scene.poses2d, recorded, images, NullReporter()), NullReporter())


def test_people_show_an_offset_and_missing_images_and_nothing_else() -> None:
    right = CameraClock(period_s=PERIOD_S)
    late = CameraClock(offset_s=0.1, period_s=PERIOD_S)
    lossy = CameraClock(drops=(DroppedImages(image=231, count=3),), period_s=PERIOD_S)
    found = by_people([right, right, late, lossy], 14.0, 1)
    np.testing.assert_allclose(found.fit.offset_s, [0, 0, 0.1, 0], atol=0.003)
    assert [(j.view, j.row, j.count, j.fewest, j.most) for j in found.jumps] == [(3, 231, 3, 3, 3)]
    assert found.drops_seen.all()


def test_an_offset_far_from_the_search_is_not_measured() -> None:
    rows, nothing = np.arange(60), np.zeros(2)
    recorded, image = (np.repeat(x[:, None], 2, 1) for x in (rows * PERIOD_S, rows))
    poses2d = record_people(ring_rig(2), people=1, seed=1, seconds=2.0).poses2d
    evidence = PeopleEvidence(ring_rig(2), poses2d, recorded, image, NullReporter())
    fit = FittedClocks(offset_s=nothing, offset_sd_s=nothing, drift_ppm=nothing, drift_sd_ppm=nothing, blocks=rows[:2])
    lossy = CameraClock(offset_s=0.3, drops=(DroppedImages(image=10, count=3),), period_s=PERIOD_S)
    late = CameraClock(offset_s=0.3, period_s=PERIOD_S)
    for clock, searched_s, far in ((late, 0.31, False), (late, 0.0, True), (lossy, 0.15, False), (lossy, -0.5, True)):
        clocks = (CameraClock(period_s=PERIOD_S), clock)
        found = MeasuredClocks(clocks=clocks, fit=fit, jumps=(), reason=("", ""), drops_seen=np.ones(2, bool))
        rejected = far_from_search(evidence, found, np.array([0.0, searched_s]), rows)
        assert bool(rejected) == far
        left = found.without(rejected)
        assert np.isnan(left.fit.offset_s).any() == ("ambiguous" in "".join(left.reason)) == far


def test_a_count_of_missing_images_that_others_fit_as_well_is_doubted() -> None:
    delay = np.where(np.arange(20) < 10, 0.0, 3.0)[:, None] - np.arange(-24, 25) / 4
    clear, vague = (find_clock_step(0.5 * (delay / sd) ** 2, 6, 4) for sd in (0.3, 1.0))
    assert clear is not None and (clear.place, clear.count, clear.fewest, clear.most) == (10, 3, 3, 3)
    assert vague is not None and vague.fewest < 3 < vague.most


def test_images_lost_while_nobody_is_seen_are_suspected() -> None:
    row = np.r_[0:300, 420:700]
    delay_s = np.where(row < 360, 0.0, 3 * PERIOD_S) + np.random.default_rng(2).normal(0, 0.02, len(row))
    information = np.full(len(row), 0.02**-2)
    pairs = [
        PairDelays(first=0, second=v, row=row, time_s=row * PERIOD_S, delay_s=delay_s, information=information)
        for v in (1, 2)
    ]
    (jump,) = suspected_jumps(pairs, np.full(3, PERIOD_S))
    assert jump.view == 0 and 297 <= jump.row <= 423 and round(jump.count) == 3


def by_flashes(on_s: np.ndarray, clocks: list[CameraClock], seed: int) -> MeasuredClocks:
    """Measure clocks by a lamp that goes on for 0.15 s; images are exposed for 40 % of the time."""
    rng, count, flashes = np.random.default_rng(seed), 1200, {}
    time_s, image = np.arange(count) * PERIOD_S, np.arange(count)
    for v, clock in enumerate(clocks):
        true_s, exposure_s = time_s - clock.error_s(time_s, image), 0.4 * PERIOD_S
        lit = np.clip((true_s[:, None] + exposure_s / 2 - on_s) / exposure_s, 0, 1)
        lit *= np.clip((on_s + 0.15 - true_s[:, None] + exposure_s / 2) / exposure_s, 0, 1)
        brightness = 60 + rng.normal(0, 0.2, (count, 20)) + 50 * lit.sum(1)[:, None] * (np.arange(20) == v)
        flashes[f"cam{v}"] = find_flashes(brightness, time_s)
    return clocks_by_flashes(flashes, dict.fromkeys(flashes, image), [PERIOD_S] * len(clocks))


def test_flashes_show_offsets_and_count_missing_images() -> None:
    on_s = np.arange(2.0, 38.0, 3.0) + np.random.default_rng(3).uniform(0, 2, 12)
    lossy = CameraClock(drops=(DroppedImages(image=600, count=3),), period_s=PERIOD_S)
    found = by_flashes(on_s, [CameraClock(), CameraClock(), CameraClock(offset_s=0.117), lossy], 3)
    np.testing.assert_allclose(found.fit.offset_s, [0, 0, 0.117, 0], atol=0.008)
    (jump,) = found.jumps
    assert (jump.view, jump.count) == (3, 3) and jump.earliest <= 600 <= jump.latest
    image = np.arange(1200)
    dark = find_flashes(60 + np.random.default_rng(3).normal(0, 0.2, (1200, 20)), image * PERIOD_S)
    nothing = clocks_by_flashes({"a": dark, "b": dark}, {"a": image, "b": image}, [PERIOD_S] * 2)
    assert np.isnan(nothing.fit.offset_s).all() and nothing.reason[0] == "a sees no flash."


@pytest.mark.parametrize("before", [1, 4])
def test_images_lost_between_flashes_are_counted_or_doubted(before: int) -> None:
    """One flash before the loss is too few to tell; it is cam0, to which others would be compared, that lost images."""
    on_s = np.arange(2.0, 38.0, 3.0) + np.random.default_rng(4).uniform(0, 2, 12)
    first = round((on_s[before] - 0.3) / PERIOD_S)
    for count in (3, 9):
        lossy = CameraClock(drops=(DroppedImages(image=first, count=count),), period_s=PERIOD_S)
        found = by_flashes(on_s, [lossy, CameraClock(), CameraClock(offset_s=0.117)], before)
        np.testing.assert_allclose(found.fit.offset_s[1:], [0, 0.117], atol=0.01)
        if before == 1:
            assert found.reason[0].startswith("cam0 may have lost") and not found.jumps
            assert np.isnan(found.fit.offset_s[0])
        else:
            (jump,) = found.jumps
            assert (jump.view, jump.count) == (0, count) and jump.earliest <= first <= jump.latest
            np.testing.assert_allclose(found.fit.offset_s[0], 0, atol=0.01)


@pytest.mark.parametrize("lost", [0, 3])
def test_a_board_shows_lost_images_and_no_others(lost: int) -> None:
    rig, image, period_s = ring_rig(3), np.arange(240), 1 / 15
    right = CameraClock(period_s=period_s)
    lossy = dataclasses.replace(right, drops=(DroppedImages(image=120, count=lost),) if lost else ())
    error_s = np.stack([c.error_s(image * period_s, image) for c in (right, right, lossy)])
    board = Board(columns=8, rows=6, square_mm=100, marker_mm=75)
    seen = board_scene(rig, board, seed=1, seconds=16.0, fps=15.0, clock_error_s=error_s)
    evidence = BoardEvidence(seen, seen.time_s.copy(), np.array(seen.image_index), rig, NullReporter())
    evidence.intrinsics = tuple(rig)
    R, t_mm = (np.stack(x) for x in zip(*(c.pose for c in rig), strict=True))
    evidence.poses = CameraPoses(R=R, t_mm=t_mm, time_offset_s=np.zeros(3), registered=np.ones(3, bool))
    jump = find_lost_images(evidence, [right] * 3, set())
    if not lost:
        assert jump is None
    else:
        assert jump is not None and (jump.view, jump.count, jump.fewest, jump.most) == (2, lost, lost, lost)
        assert jump.earliest <= 120 <= jump.latest
        parts = [dataclasses.replace(jump, row=112, count=1), dataclasses.replace(jump, count=2)]
        assert [(j.view, j.count) for j in joined_jumps(evidence, [right] * 3, parts)] == [(2, lost)]
        assert len(joined_jumps(evidence, [right] * 3, [dataclasses.replace(parts[0], row=30), parts[1]])) == 2


def test_the_timeline_uses_offset_drift_and_missing_images() -> None:
    index = np.arange(10)[:, None].repeat(2, 1)
    recorded = index / 10.0
    timeline = Timeline(cameras=("a", "b"), time_s=recorded[:, 0], frame_index=index, frame_time_s=recorded)
    clock = CameraClock(offset_s=0.2, drift_ppm=1000.0, drops=(DroppedImages(image=4, count=2),), period_s=0.1)
    corrected = timeline.with_clocks([CameraClock(), clock])
    expected = recorded[:, 1] * 0.999 - 0.2 + 0.2 * (np.arange(10) >= 4)
    np.testing.assert_allclose(corrected.frame_time_s, np.stack([recorded[:, 0], expected], 1))
    np.testing.assert_allclose(corrected.recorded_time_s, recorded)


def test_a_certificate_is_read_as_written_and_summed_up(tmp_path: Path) -> None:
    clock = ClockReport(start_s=0.0, fps=30.0)

    def camera(name: str, offset_s: float | None, drift_ppm: float = 0.0, *drops: FoundDrop) -> CameraSync:
        sd = None if offset_s is None else 0.0005
        return CameraSync(
            name=name,
            offset_s=offset_s,
            offset_sd_s=sd,
            drift_ppm=drift_ppm,
            drift_sd_ppm=1.0,
            drops=drops,
            clock=clock,
        )

    drop = FoundDrop(image=70, count=3, earliest=70, latest=70)
    vague = dataclasses.replace(drop, fewest=3, most=4)
    cameras = (camera("a", 0.0), camera("b", 0.0012, 38.0, vague), camera("c", 0.1, 2.0, drop), camera("d", None))
    summary = summarise(cameras)
    assert summary == (
        "2 cameras within 1.2 ms; the times of c are 100.0 ms ahead; the clock of b runs 38 ppm fast "
        "(2.3 ms a minute); b lost 3 or 4 images; c lost 3 images; d not measured."
    )
    written = SyncCertificate(take="walk", method="people", made="now", summary=summary, cameras=cameras)
    written.save(tmp_path / "sync.yaml")
    assert SyncCertificate.load(tmp_path / "sync.yaml") == written
    assert written.measured and not written.good


@pytest.mark.slow
def test_people_and_flashes_are_looked_for_in_a_part_of_a_take_only(sample_session: Session) -> None:
    take, rows = sample_session.take("two_people"), np.array([0, 1])
    people = estimate_excerpt(take, rows, NullReporter())
    assert set(people) == set(take.cameras)
    assert all(poses.n_frames == 2 and poses.present.any(1).all() for poses in people.values())
    part, more = (
        read_brightness(take, dict.fromkeys(take.cameras, range(first, 3)), NullReporter()) for first in (1, 0)
    )
    for camera in take.cameras:
        np.testing.assert_array_equal(part[camera], more[camera][1:])


def test_the_error_of_a_drift_counts_from_the_cameras_that_it_is_compared_with() -> None:
    four = np.full(4, 5.0)
    fit = FittedClocks(
        offset_s=four,
        offset_sd_s=four,
        drift_ppm=four,
        drift_sd_ppm=four,
        blocks=np.ones(4, np.int64),
        drift_covariance=np.diag(four**2) + 7.0,  # what all have in common does not count
    )
    share = np.array([1, 1, 1, 0]) / 3
    np.testing.assert_allclose(fit.drift_sd_from(share), 5 * np.sqrt([2 / 3, 2 / 3, 2 / 3, 4 / 3]))


def test_stated_errors_hold_for_errors_that_many_pairs_share() -> None:
    """Each camera's clock reading has an error of its own, which all pairs with this camera contain."""
    rng, count, scaled, offset_scaled = np.random.default_rng(6), 4, [], []
    time_s = np.arange(0.05, 60.0, 0.1)
    for _ in range(60):
        error_s = 0.003 * rng.standard_t(6, (count, len(time_s)))
        delays = [
            PairDelays(
                first=i,
                second=j,
                row=np.arange(len(time_s)),
                time_s=time_s,
                delay_s=error_s[j] - error_s[i] + 40e-6 * time_s * ((j == 1) - float(i == 1)),
                information=np.full(len(time_s), 0.004**-2),
            )
            for i in range(count)
            for j in range(count)
            if i != j
        ]
        fit = fit_clocks(delays, count, np.ones(count, bool))
        share = usual_share(fit.drift_ppm, fit.drift_covariance, fit.blocks > 0)
        scaled += ((fit.drift_ppm - [0, 40, 0, 0]) / fit.drift_sd_from(share)).tolist()
        offset_scaled += (fit.offset_s / fit.offset_sd_s).tolist()
    for values in (np.array(scaled), np.array(offset_scaled)):
        assert 0.58 < np.mean(np.abs(values) < 1) < 0.85 and np.mean(np.abs(values) < 2) > 0.92
