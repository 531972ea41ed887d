"""Measurement of the clocks of all cameras of a take from moving points.

Offsets and drifts are fitted to the delays between pairs of cameras, recorded times are corrected, and delays are
measured again until convergence. Jumps by missing images are corrected as soon as they are confirmed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.calibration.sync.certificate import LEAST_OFFSET_S, SIGNIFICANCE
from core.calibration.sync.clock_fit import FittedClocks, blocked, fit_clocks, relative_to_majority, usual_share
from core.calibration.sync.delays import PairDelays, pair_delays
from core.calibration.sync.evidence import Evidence
from core.calibration.sync.missing import Jump, confirm_jump, smallest_jump_s, suspected_jumps
from core.progress import Reporter, check
from core.session.clocks import CameraClock, DroppedImages, describe_drift
from core.types.arrays import F64

_MOST_ROUNDS, _MOST_JUMPS = 24, 12
_CONVERGED_S = 0.0001
_QUIET = 0.1  # change of the offsets in images below which jumps are searched
_LEAST_GAIN = 6.0  # log likelihood gained by a jump over the take
_LEAST_BLOCKS = 4  # time blocks for an offset
_AROUND_S, _FAR_S = 4.0, 12.0  # range around a suspected jump in which every image is compared, and its limit
_LEAST_DRIFT_S = 8.0  # duration for a drift
_USUAL_DRIFT_PPM, _LARGEST_DRIFT_PPM = 50.0, 400.0  # of a real clock
LARGEST_DRIFT_SD_PPM = 60.0
"""Standard error in ppm above which a drift counts as not measured."""
_PARTS, _APART_S, _APART = (
    4,
    0.006,
    5.0,
)  # number of parts of the take that must agree, and tolerance in s or standard errors


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeasuredClocks:
    """Clocks measured in images.

    Attributes:
        clocks: (V,) final clocks, including uncertain ones.
        fit: Offsets and drifts with standard errors, NaN where uncertain.
        jumps: Missing images by rows of the take.
        reason: (V,) reasons why offsets are not measured; empty if they are.
        drops_seen: (V,) mask of cameras in which missing images would have been detected.
    """

    clocks: tuple[CameraClock, ...]
    fit: FittedClocks
    jumps: tuple[Jump, ...]
    reason: tuple[str, ...]
    drops_seen: np.ndarray

    def without(self, rejected: Mapping[int, str]) -> MeasuredClocks:
        """Return the measurements without those of some cameras, with a reason for each."""
        wrong = np.array([v in rejected for v in range(len(self.reason))])
        fit = dataclasses.replace(
            self.fit,
            offset_s=np.where(wrong, np.nan, self.fit.offset_s),
            offset_sd_s=np.where(wrong, np.nan, self.fit.offset_sd_s),
            drift_ppm=np.where(wrong, np.nan, self.fit.drift_ppm),
            drift_sd_ppm=np.where(wrong, np.nan, self.fit.drift_sd_ppm),
        )
        return dataclasses.replace(
            self,
            fit=fit,
            jumps=tuple(j for j in self.jumps if j.view not in rejected),
            reason=tuple(rejected.get(v, reason) for v, reason in enumerate(self.reason)),
            drops_seen=self.drops_seen & ~wrong,
        )


def measure_clocks(
    evidence: Evidence, initial_s: F64, reporter: Reporter, known: Sequence[Jump] = ()
) -> MeasuredClocks:
    """Measure offset, drift and missing images of all cameras.

    Args:
        evidence: Moving points in the views of the cameras.
        initial_s: (V,) initial offsets, accurate to about 0.1 s.
        reporter: Receives progress, and reports cancellation.
        known: Missing images that are already known.

    Raises:
        CoreError: There are no such points.
        CancelledError: The reporter asked to stop.
    """
    V = len(evidence.cameras)
    clocks = [
        CameraClock(offset_s=float(s), period_s=float(p)) for s, p in zip(initial_s, evidence.period_s, strict=True)
    ]
    jumps = list(known)
    clocks = [with_jumps(evidence, c, v, jumps) for v, c in enumerate(clocks)]
    length_s = float(np.nanmax(evidence.recorded_s) - np.nanmin(evidence.recorded_s))
    # Offsets and missing images first, because either may be mistaken for a drift.
    drifting, drift_sd, stage = np.zeros(V, bool), np.full(V, np.nan), 0 if length_s >= _LEAST_DRIFT_S else 2
    drift = seen_drift = np.zeros(V)
    rejected: set[tuple[int, int]] = set()
    for n in range(_MOST_ROUNDS):
        check(reporter)
        reporter.progress(n, _MOST_ROUNDS, "Comparing the cameras' clocks")
        delays = _delays(evidence, clocks)
        fit = fit_clocks(delays, V, drifting)
        # Before offsets converge, other cameras seem to jump as well.
        quiet = n and np.nan_to_num(np.abs(fit.offset_s)).max() < _QUIET * evidence.period_s.min()
        if quiet and evidence.shows_jumps and len(jumps) < _MOST_JUMPS:
            found = _new_jump(evidence, clocks, jumps, delays, fit, rejected, reporter)
            if found is not None:
                clocks, jumps = found
                continue
        change = np.nan_to_num(fit.offset_s), np.nan_to_num(fit.drift_ppm)
        offset = relative_to_majority(change[0] + [c.offset_s for c in clocks], fit.offset_sd_s, LEAST_OFFSET_S)
        drift = change[1] + [c.drift_ppm for c in clocks]
        if drifting.all():
            drift = drift - usual_share(drift, fit.drift_covariance, fit.blocks > 0) @ drift
        clocks = [
            dataclasses.replace(c, offset_s=float(o), drift_ppm=float(d))
            for c, o, d in zip(clocks, offset, drift, strict=True)
        ]
        converged = np.abs(change[0]).max() + length_s * 1e-6 * np.abs(change[1]).max() < _CONVERGED_S
        if not n or not converged:
            continue
        if stage == 2:
            break
        stage += 1
        if stage == 1:
            drifting = np.full(V, True)
        else:  # without a significant drift, the mean offset of the take is more accurate
            drift_sd, seen_drift = fit.drift_sd_from(usual_share(drift, fit.drift_covariance, fit.blocks > 0)), drift
            drifting = (np.abs(drift) > SIGNIFICANCE * drift_sd) & (drift_sd <= LARGEST_DRIFT_SD_PPM)
            clocks = [c if d else _steady(c, delays) for c, d in zip(clocks, drifting, strict=True)]
    return _assessed(evidence, delays, fit, clocks, np.where(drifting, drift, seen_drift), drift_sd, jumps)


def _unseen_s(delays: Sequence[PairDelays], clocks: Sequence[CameraClock], drift_ppm: F64, drift_sd_ppm: F64) -> F64:
    """Return the error (V,) of offsets at time 0 of clocks that count as steady, by drifts too small to be seen."""
    seen_ppm = np.hypot(drift_ppm, drift_sd_ppm)
    unseen_ppm = np.where(drift_sd_ppm <= LARGEST_DRIFT_SD_PPM, seen_ppm, _USUAL_DRIFT_PPM)
    return np.where([c.drift_ppm != 0 for c in clocks], 0.0, 1e-6 * unseen_ppm * _middle_s(delays))


def _middle_s(delays: Sequence[PairDelays]) -> float:
    """Return the time at the centre of the delays."""
    _, _, time_s, _, information = blocked(delays)
    return float(np.average(time_s, weights=information)) if len(time_s) else 0.0


def _steady(clock: CameraClock, delays: Sequence[PairDelays]) -> CameraClock:
    """Return a clock without drift, with the offset at the centre of the delays."""
    offset_s = clock.offset_s + 1e-6 * clock.drift_ppm * _middle_s(delays)
    return dataclasses.replace(clock, offset_s=offset_s, drift_ppm=0.0)


def _delays(evidence: Evidence, clocks: Sequence[CameraClock]) -> list[PairDelays]:
    """Return the delays between all pairs of cameras over the take."""
    parts: dict[tuple[int, int], list[PairDelays]] = {}
    for points in evidence.points(clocks):
        for d in pair_delays(points.tracks, points.poses, points.person, points.rows):
            if len(d.row):
                parts.setdefault((d.first, d.second), []).append(d)
    return [
        PairDelays(
            first=pair[0].first,
            second=pair[0].second,
            row=np.concatenate([d.row for d in pair]),
            time_s=np.concatenate([d.time_s for d in pair]),
            delay_s=np.concatenate([d.delay_s for d in pair]),
            information=np.concatenate([d.information for d in pair]),
        )
        for pair in parts.values()
    ]


def _new_jump(
    evidence: Evidence,
    clocks: Sequence[CameraClock],
    jumps: Sequence[Jump],
    delays: Sequence[PairDelays],
    fit: FittedClocks,
    rejected: set[tuple[int, int]],
    reporter: Reporter,
) -> tuple[list[CameraClock], list[Jump]] | None:
    """Return clocks and jumps after the most significant confirmed jump; None if there is none."""
    for suspect in suspected_jumps(delays, evidence.period_s):
        view = suspect.view
        time_s = evidence.recorded_s[:, view]
        place = view, round(float(time_s[suspect.row]))
        if place in rejected:
            continue
        check(reporter)
        rejected.add(place)
        # As many images that show the clock, on either side, as there are in `_AROUND_S`.
        shown = np.unique(np.concatenate([d.row for d in delays if d.first == view]))
        count, at = round(_AROUND_S / evidence.period_s[view]), int(np.searchsorted(shown, suspect.row))
        ends_s = time_s[shown[[max(at - count, 0), min(at + count, len(shown) - 1)]]] - time_s[suspect.row]
        ends_s = np.clip(ends_s, [-_FAR_S, _AROUND_S], [-_AROUND_S, _FAR_S])
        rows = np.flatnonzero((time_s >= time_s[suspect.row] + ends_s[0]) & (time_s <= time_s[suspect.row] + ends_s[1]))
        for points in evidence.points(clocks, rows):
            jump = confirm_jump(points, suspect, float(evidence.period_s[view]))
            if jump is None:
                continue
            together = merge_jump(jumps, jump)
            trial = [with_jumps(evidence, c, v, together) for v, c in enumerate(clocks)]
            trial[view] = dataclasses.replace(trial[view], offset_s=trial[view].offset_s + jump.offset_s)
            # Over the take, the cameras must agree far better than without the jump.
            drifting = np.zeros(len(clocks), bool)
            cost = fit_clocks(_delays(evidence, trial), len(clocks), drifting).cost
            if cost < fit.cost - _LEAST_GAIN:
                return trial, together
    return None


def merge_jump(jumps: Sequence[Jump], new: Jump) -> list[Jump]:
    """Return the jumps with another one added, which may be merged with an earlier one."""
    for n, old in enumerate(jumps):
        if old.view == new.view and old.earliest - 2 <= new.row <= old.latest + 2:
            both = dataclasses.replace(
                new, count=old.count + new.count, fewest=old.fewest + new.fewest, most=old.most + new.most
            )
            return [*jumps[:n], both, *jumps[n + 1 :]]
    return sorted([*jumps, new], key=lambda jump: (jump.view, jump.row))


def with_jumps(evidence: Evidence, clock: CameraClock, view: int, jumps: Sequence[Jump]) -> CameraClock:
    """Return the clock of a camera with its missing images replaced."""
    drops = tuple(
        DroppedImages(image=int(evidence.image[j.row, view]), count=round(j.count)) for j in jumps if j.view == view
    )
    return dataclasses.replace(clock, drops=drops)


def _assessed(
    evidence: Evidence,
    delays: Sequence[PairDelays],
    fit: FittedClocks,
    clocks: Sequence[CameraClock],
    drift_ppm: F64,
    drift_sd_ppm: F64,
    jumps: Sequence[Jump],
) -> MeasuredClocks:
    """Return the measurements that are accurate enough, with reasons for the others."""
    reason = []
    offset_sd_s = np.hypot(fit.offset_sd_s, _unseen_s(delays, clocks, drift_ppm, drift_sd_ppm))
    for v, name in enumerate(evidence.cameras):
        parts, spread = _parts(delays, v)
        if not fit.blocks[v] >= _LEAST_BLOCKS:
            reason.append(f"{name} sees too little motion that other cameras see as well.")
        elif not fit.offset_sd_s[v] <= evidence.largest_sd_s:
            reason.append(f"The motion in {name} determines its clock only to {1e3 * fit.offset_sd_s[v]:.0f} ms.")
        elif abs(drift_ppm[v]) > _LARGEST_DRIFT_PPM:
            drift = describe_drift(drift_ppm[v])
            reason.append(f"The clock of {name} would run {drift}, as no real clock does: images may be missing.")
        elif len(parts) and float(np.abs(parts).max()) > max(_APART_S, _APART * spread):
            reason.append(f"The time offset of {name} varies between parts of the take.")
        else:
            reason.append("")
    wrong = np.array([bool(r) for r in reason])
    seen = np.array([smallest_jump_s(delays, v) <= p for v, p in enumerate(evidence.period_s)])
    known = ~wrong & (np.nan_to_num(drift_sd_ppm, nan=np.inf) <= LARGEST_DRIFT_SD_PPM)
    return MeasuredClocks(
        clocks=tuple(clocks),
        fit=FittedClocks(
            offset_s=np.where(wrong, np.nan, [c.offset_s for c in clocks]),
            offset_sd_s=np.where(wrong, np.nan, offset_sd_s),
            drift_ppm=np.where(known, drift_ppm, np.nan),
            drift_sd_ppm=np.where(known, drift_sd_ppm, np.nan),
            blocks=fit.blocks,
        ),
        jumps=tuple(j for j in jumps if not wrong[j.view]),
        reason=tuple(reason),
        drops_seen=seen & ~wrong & evidence.shows_jumps,
    )


def _parts(delays: Sequence[PairDelays], view: int) -> tuple[F64, float]:
    """Return the remaining delay of a camera in each part of the take, and the largest standard error."""
    first, second, time_s, delay_s, information = blocked(delays)
    use = (first == view) | (second == view)
    if use.sum() < 4 * _PARTS:
        return np.zeros(0), 0.0
    sign = np.where(second == view, 1.0, -1.0)[use]
    order = np.argsort(time_s[use], kind="stable")
    means, errors = [], []
    for part in np.array_split(order, _PARTS):
        value, weight = (sign * delay_s[use])[part], information[use][part]
        mean = float(np.average(value, weights=weight))
        means.append(mean)
        errors.append(float(np.sqrt((weight**2 * (value - mean) ** 2).sum()) / weight.sum()))
    return np.array(means), max(errors)
