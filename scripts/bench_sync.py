"""Benchmark the measurement of clocks from people, a board and flashes: errors over several seeds.

Four simulated cameras: one is right, one drifts by 40 ppm, one is 100 ms ahead, and one drops three images without a
gap in its times. Errors are the largest of the four cameras; "false" counts drifts that are significant in cameras
without drift, or wrong by more than 10 ppm. The last lines print how many true values are within one and two stated
errors; 68 and 95 % are right. A seed takes about 20 s for people or a board.

python scripts/bench_sync.py --method people --seeds 3
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from _environment import rerun_in_environment

_FPS, _DRIFT_PPM, _OFFSET_S, _LOST = 30.0, 40.0, 0.1, 3
_ROW = "{:8} {:>5} {:>10} {:>10} {:>11} {:>11} {:>6} {:>6} {:>18} {:>6}"


def _clocks(seconds: float, rng: Any) -> list[Any]:
    """Return the clocks of the four cameras."""
    from core.session.clocks import CameraClock, DroppedImages

    n = int(seconds * _FPS)
    lost = DroppedImages(image=int(rng.integers(0.2 * n, 0.8 * n)), count=_LOST)
    faults: tuple[dict[str, Any], ...] = (
        {},
        {"drift_ppm": _DRIFT_PPM},
        {"offset_s": _OFFSET_S},
        {"drops": (lost,)},
    )
    return [CameraClock(period_s=1 / _FPS, **fault) for fault in faults]


def _recorded(clocks: list[Any], seconds: float) -> tuple[Any, Any, Any]:
    """Return recorded times, image indices (T,), and the error (V, T) of each clock."""
    import numpy as np

    image = np.arange(int(seconds * _FPS))
    return image / _FPS, image, np.stack([c.error_s(image / _FPS, image) for c in clocks])


def people(seed: int, seconds: float, clocks: list[Any]) -> Any:
    """Return the clocks measured from two walking people, with joint errors of 5 px."""
    import numpy as np

    from core.calibration.sync.people import PeopleEvidence, clocks_by_people
    from core.progress import NullReporter
    from core.synthetic.people_scene import record_people
    from core.synthetic.rigs import ring_rig

    rig, (time_s, image, error_s) = ring_rig(len(clocks)), _recorded(clocks, seconds)
    scene = record_people(rig, people=2, seed=seed, seconds=seconds, fps=_FPS, clock_error_s=error_s)
    recorded, images = (np.repeat(x[:, None], len(clocks), 1) for x in (time_s, image))
    return clocks_by_people(PeopleEvidence(rig, scene.poses2d, recorded, images, NullReporter()), NullReporter())


def board(seed: int, seconds: float, clocks: list[Any]) -> Any:
    """Return the clocks measured from a moving board."""
    import numpy as np

    from core.board.pattern import Board
    from core.calibration.sync.board import BoardEvidence, clocks_by_board
    from core.progress import NullReporter
    from core.synthetic.board_scene import board_scene
    from core.synthetic.rigs import ring_rig

    rig, (_, _, error_s) = ring_rig(len(clocks)), _recorded(clocks, seconds)
    pattern = Board(columns=8, rows=6, square_mm=100, marker_mm=75)
    seen = board_scene(rig, pattern, seed=seed, seconds=seconds, fps=_FPS, clock_error_s=error_s)
    evidence = BoardEvidence(seen, seen.time_s.copy(), np.array(seen.image_index), rig, NullReporter())
    return clocks_by_board(evidence, NullReporter())


def flash(seed: int, seconds: float, clocks: list[Any]) -> Any:
    """Return the clocks measured from a lamp that lights up twelve times a minute for 0.15 s.

    The cameras expose at different times within an image period. In step, all would date a flash with the same error.
    """
    import numpy as np

    from core.calibration.sync.flash import clocks_by_flashes, find_flashes

    rng, parts, exposure_s = np.random.default_rng(seed), 192, 0.4 / _FPS
    image = np.arange(int(seconds * _FPS))
    on = np.sort(rng.uniform(2, seconds - 2, max(4, round(seconds / 5))))
    on = on[np.diff(on, prepend=-9.0) > 0.6]
    flashes = {}
    for v, clock in enumerate(clocks):
        time_s = (image + rng.uniform()) / _FPS
        start = (time_s - clock.error_s(time_s, image))[:, None] - exposure_s / 2
        lit = np.clip((start + exposure_s - on) / exposure_s, 0, 1) * np.clip((on + 0.15 - start) / exposure_s, 0, 1)
        brightness = 60 + rng.normal(0, 0.15, (len(image), parts))
        brightness += lit.sum(1, keepdims=True) * np.where(np.arange(parts) == 50 + v, 60, 3)
        flashes[f"cam{v}"] = find_flashes(brightness, time_s)
    return clocks_by_flashes(flashes, dict.fromkeys(flashes, image), [1 / _FPS] * len(clocks))


METHODS: dict[str, Callable[[int, float, list[Any]], Any]] = {"people": people, "board": board, "flash": flash}


def row(method: str, seed: int, seconds: float, scaled: dict[str, list[float]]) -> str:
    """Return a row of the table, and add the errors of all cameras, relative to the stated ones, to `scaled`."""
    import numpy as np

    from core.calibration.sync.certificate import SIGNIFICANCE

    clocks = _clocks(seconds, np.random.default_rng(seed + 100))
    started = time.process_time()
    found = METHODS[method](seed, seconds, clocks)
    spent_s = time.process_time() - started
    fit = found.fit
    offset = 1e3 * (fit.offset_s - [c.offset_s for c in clocks])
    drift = fit.drift_ppm - [c.drift_ppm for c in clocks]
    for name, error, stated in (("offsets", 1e-3 * offset, fit.offset_sd_s), ("drifts", drift, fit.drift_sd_ppm)):
        scaled.setdefault(f"{method}, {name}", []).extend((error / stated)[np.isfinite(error / stated)].tolist())
    significant = np.abs(fit.drift_ppm) > SIGNIFICANCE * fit.drift_sd_ppm
    false = int((significant & (np.abs(drift) > 10)).sum())
    (lost,), jumps = clocks[3].drops, found.jumps
    drops = "not seen" if not found.drops_seen[3] and not jumps else f"{len(jumps)}, wrong"
    (jump,) = jumps if len(jumps) == 1 else (None,)
    placed = jump is not None and jump.view == 3 and jump.earliest <= lost.image <= jump.latest
    if jump is not None and placed and jump.fewest <= _LOST <= jump.most:
        drops = "right" if jump.fewest == jump.most else f"{jump.fewest} to {jump.most}"
        drops += f" in {jump.latest - jump.earliest + 1}" if jump.latest > jump.earliest else ""
    values = (np.abs(offset).max(), 1e3 * np.max(fit.offset_sd_s), np.abs(drift).max(), np.max(fit.drift_sd_ppm))
    shown = ["-" if np.isnan(v) else f"{v:.{n}f}" for v, n in zip(values, (2, 2, 1, 1), strict=True)]
    return _ROW.format(method, seed, *shown, "yes" if significant[1] else "no", false, drops, f"{spent_s:.0f}")


def main() -> int:
    """Run the benchmark; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", choices=sorted(METHODS), help="one of the methods; all by default")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the take")
    args = parser.parse_args()
    code = rerun_in_environment(__file__)
    if code is not None:
        return code
    titles = ("offset ms", "its sd", "drift ppm", "its sd", "40 ppm", "false", "missing images", "CPU s")
    print(_ROW.format("method", "seed", *titles))
    scaled: dict[str, list[float]] = {}
    for method in [args.method] if args.method else METHODS:
        for seed in range(args.seeds):
            print(row(method, seed, args.seconds, scaled), flush=True)
    for name, values in scaled.items():
        within = [100 * sum(abs(z) <= most for z in values) / max(len(values), 1) for most in (1, 2)]
        rms = (sum(z * z for z in values) / max(len(values), 1)) ** 0.5
        shares = f"{within[0]:.0f} and {within[1]:.0f} % of {len(values)}"
        print(f"{name}: {shares} within 1 and 2 stated errors, rms {rms:.2f}")
    return 0


if __name__ == "__main__":
    # The matrices are small, and more threads would slow each other down. Read at the first import of numpy.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
