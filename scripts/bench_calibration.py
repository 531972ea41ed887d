"""Measure the accuracy and speed of calibration, on synthetic rigs with exact truth and on real recordings.

python scripts/bench_calibration.py                       synthetic rigs
python scripts/bench_calibration.py --recordings FOLDER   and recordings: folders with videos and timestamps.csv

Options such as --columns, --rows and --square describe the board of the recordings. Held-out errors are
leave-one-camera-out errors on blocks of time that were not used in the calibration.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from _environment import rerun_in_environment

if TYPE_CHECKING:
    from core.board.pattern import Board
    from core.calibration.board.calibrate import BoardCalibration
    from core.types.arrays import F64
    from core.types.camera import CameraRig


def main() -> None:
    """Print the requested tables."""
    from core.board.pattern import Board

    arguments = _arguments()
    if arguments.rigs:
        _synthetic(arguments.rigs, arguments.seconds, arguments.close)
    board = Board(
        columns=arguments.columns,
        rows=arguments.rows,
        square_mm=arguments.square,
        marker_mm=arguments.marker or 0.75 * arguments.square,
        dictionary=arguments.dictionary,
        inverted=arguments.inverted,
    )
    if arguments.walks:
        _people(arguments.walks)
    if arguments.repairs:
        _repairs(arguments.repairs)
    for folder in arguments.recordings:
        _recording(Path(folder), board)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rigs", type=int, default=12, help="synthetic rigs; 0 for none")
    parser.add_argument("--walks", type=int, default=0, help="rigs calibrated from walking people alone")
    parser.add_argument("--repairs", type=int, default=0, help="rigs, good or changed, repaired from walking people")
    parser.add_argument("--seconds", type=float, default=40.0, help="length of a synthetic recording")
    parser.add_argument("--close", type=int, default=40, help="close-up images per camera, for its intrinsics")
    parser.add_argument("--recordings", nargs="*", default=[], help="folders with one video per camera")
    parser.add_argument("--columns", type=int, default=4)
    parser.add_argument("--rows", type=int, default=5)
    parser.add_argument("--square", type=float, default=54.0, help="mm")
    parser.add_argument("--marker", type=float, default=0.0, help="mm; default: three quarters of a square")
    parser.add_argument("--dictionary", default="DICT_4X4_1000")
    parser.add_argument("--inverted", action=argparse.BooleanOptionalAction, default=True)
    return parser.parse_args()


def _synthetic(rigs: int, seconds: float, close: int) -> None:
    """Measure random rigs of 3 to 8 cameras: 0.3 px corner noise, time offsets up to 100 ms in every second rig."""
    import numpy as np

    from core.board.pattern import Board
    from core.calibration.board.calibrate import calibrate_board
    from core.calibration.board.config import CalibrateConfig
    from core.errors import CoreError
    from core.progress import NullReporter
    from core.synthetic.board_scene import board_scene, closeups
    from core.synthetic.rigs import random_rig

    board = Board(columns=8, rows=6, square_mm=100, marker_mm=75)
    print("| rig | cameras | intrinsics | time s | position % of size | rotation deg | time offset ms | verdict |")
    print("|---|---|---|---|---|---|---|---|")
    rows: dict[str, list[tuple[F64, F64, F64, bool]]] = {"estimated": [], "known": []}
    for seed in range(rigs):
        rng = np.random.default_rng(1000 + seed)
        count = 3 + seed % 6
        rig = random_rig(rng, count, size_px=(1920, 1080))
        offset_s = rng.uniform(-0.1, 0.1, count) * (seed % 2)
        seen = board_scene(rig, board, seed=seed, time_offset_s=offset_s.tolist(), seconds=seconds)
        close_views = closeups(rig, board, seed=seed, images=close)
        for intrinsics in rows:
            known = {c.name: c.replace(R=None, t_mm=None) for c in rig} if intrinsics == "known" else {}
            config = CalibrateConfig(board=board, fixed_intrinsics=intrinsics == "known")
            begin = time.perf_counter()
            try:
                found = calibrate_board(
                    seen, config, NullReporter(), known=known, intrinsics_views=() if known else (close_views,)
                )
            except CoreError as error:
                print(f"| {seed} | {count} | {intrinsics} | | | | | {error.message} |")
                continue
            took = time.perf_counter() - begin
            position, rotation, time_offset = _errors(found, rig, offset_s)
            problems = _problems(found)
            rows[intrinsics].append((position, rotation, time_offset, bool(problems)))
            verdict = problems[0] if problems else "good"
            print(
                f"| {seed} | {count} | {intrinsics} | {took:.1f} | {np.median(position):.3f}"
                f" | {np.median(rotation):.4f} | {np.abs(time_offset).max():.2f} | {verdict} |",
                flush=True,
            )
    for intrinsics, all_of in rows.items():
        if all_of:
            position, rotation, time_offset = (np.concatenate([row[i] for row in all_of]) for i in range(3))
            alarms = sum(row[3] for row in all_of)
            print(
                f"\n{intrinsics} intrinsics, medians: position {np.median(position):.4f} % of the rig's size, rotation"
                f" {np.median(rotation):.4f} degrees, time offset {np.median(np.abs(time_offset)):.3f} ms (worst"
                f" {np.abs(time_offset).max():.2f}); with warnings: {alarms} of {len(all_of)}."
            )


def _people(walks: int) -> None:
    """Measure rigs of 3 to 6 cameras calibrated from one or two people: 5 px noise, time offsets up to 100 ms."""
    import numpy as np

    from core.calibration.people.simulate import simulate_calibration

    names = ("rotation_deg", "position_percent", "upright_deg", "upright_percent", "time_offset_ms")
    print(
        "\n| rig | cameras | people | placed | rotation deg | position % | with floor: deg | % | time offset ms | s |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    rows = []
    for seed in range(walks):
        cameras, people = 3 + seed % 4, 1 + seed % 2
        begin = time.perf_counter()
        found = simulate_calibration(cameras, people, seed, ring=seed % 3 == 0)
        took = time.perf_counter() - begin
        rows.append([found[name] for name in names])
        figures = " | ".join(f"{found[name]:.2f}" for name in names)
        print(f"| {seed} | {cameras} | {people} | {found['solved']:.0f} | {figures} | {took:.0f} |", flush=True)
    median = np.nanmedian(np.array(rows), axis=0)
    print("| medians | | | | " + " | ".join(f"{value:.2f}" for value in median) + " | |")


def _repairs(rigs: int) -> None:
    """Repair random rigs of 3 to 6 cameras, unchanged or with one change; 2D errors persist and joints are biased."""
    import numpy as np
    from scipy.signal import lfilter

    from core.calibration.people.calibrate import repair_from_people
    from core.geometry.so3 import angle_rad, exp
    from core.synthetic.people_scene import record_people
    from core.synthetic.rigs import random_rig

    persistence, sd_px, bias_px = 0.95, 6.0, 3.0
    changes = {"none": (0.0, 0.0, 0.0), "0.6 degrees": (0.6, 0.0, 0.0), "2 degrees": (2.0, 0.0, 0.0)}
    changes |= {"100 mm": (0.0, 100.0, 0.0), "100 ms": (0.0, 0.0, 0.1)}
    print("\n| rig | cameras | change | made | error: degrees | mm | ms | px before | after | CPU s |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for seed in range(rigs):
        rng = np.random.default_rng(seed)
        truth = random_rig(rng, 3 + seed % 4)
        scene = record_people(truth, people=1 + seed % 2, seed=seed, seconds=20.0, noise_px=3.0)
        poses2d = {}
        for name, poses in scene.poses2d.items():
            noise = rng.normal(size=(100 + poses.n_frames, *poses.xy_px.shape[1:]))
            noise = lfilter([np.sqrt(1 - persistence**2)], [1, -persistence], noise, axis=0)[100:]
            bias = rng.normal(size=(1, 1, *poses.xy_px.shape[2:]))
            poses2d[name] = dataclasses.replace(poses, xy_px=poses.xy_px + sd_px * noise + bias_px * bias)
        for change, (degrees, shift_mm, late_s) in changes.items():
            view = int(rng.integers(len(truth)))
            axis, way = (v / np.linalg.norm(v) for v in rng.normal(size=(2, 3)))
            camera = truth[view]
            R = exp(np.radians(degrees) * axis) @ camera.pose[0]
            changed = camera.replace(R=R, t_mm=-R @ (camera.centre_mm + shift_mm * way), time_offset_s=late_s)
            cameras = (*truth.cameras[:view], changed, *truth.cameras[view + 1 :])
            begin = time.process_time()
            found = repair_from_people(dataclasses.replace(truth, cameras=cameras), poses2d, scene.time_s)
            took = time.process_time() - begin
            pairs = list(zip(found.rig, truth, strict=True))
            turned = max(np.degrees(angle_rad(a.pose[0] @ b.pose[0].T)) for a, b in pairs)
            moved = max(np.linalg.norm(a.centre_mm - b.centre_mm) for a, b in pairs)
            late = max(1e3 * abs(a.time_offset_s - b.time_offset_s) for a, b in pairs)
            before, after = np.mean(list(found.loco_px.values()), axis=0)
            made = found.notes[0].split("; ")[0].split(":")[0]
            print(
                f"| {seed} | {len(truth)} | {camera.name} {change} | {made} | {turned:.2f} | {moved:.0f} | {late:.0f}"
                f" | {before:.1f} | {after:.1f} | {took:.1f} |",
                flush=True,
            )


def _errors(found: BoardCalibration, truth: CameraRig, offset_s: F64) -> tuple[F64, F64, F64]:
    """Return the errors of all cameras after alignment with the ground truth: % of the rig's size, degrees, ms."""
    import numpy as np

    from core.geometry.so3 import angle_rad, mean

    names = found.posed
    solved, exact = ([rig[n] for n in names] for rig in (found.rig, truth))
    rotation = mean(np.stack([e.pose[0].T @ m.pose[0] for m, e in zip(solved, exact, strict=True)]))
    places = np.stack([m.centre_mm for m in solved]) @ rotation.T
    exact_places = np.stack([e.centre_mm for e in exact])
    places += exact_places.mean(0) - places.mean(0)
    size = np.linalg.norm(exact_places[:, None] - exact_places, axis=-1).max()
    angles = [float(angle_rad(e.pose[0] @ rotation @ m.pose[0].T)) for m, e in zip(solved, exact, strict=True)]
    time_offset = np.array([m.time_offset_s for m in solved]) - [offset_s[truth.names.index(n)] for n in names]
    return (
        100 * np.linalg.norm(places - exact_places, axis=1) / size,
        np.degrees(angles),
        1000 * (time_offset - np.median(time_offset)),
    )


def _problems(found: BoardCalibration) -> list[str]:
    """Return the messages of all warnings and errors of the report."""
    import numpy as np

    from core.calibration.board.metrics import measure
    from core.calibration.board.report import assess_board
    from core.calibration.checks import check_rig
    from core.calibration.world import guess_world

    path = found.solution.trajectory
    places = (found.seen.board.points_mm @ np.swapaxes(path.R, -1, -2) + path.t_mm[:, None]).reshape(-1, 3)
    upright = guess_world(found.rig, places)[0].rig(found.rig)
    findings = assess_board(measure(found), found.rig, found.seen, calibration=found)
    return [f.message for f in [*findings, *check_rig(upright).findings] if f.level != "ok"]


def _recording(folder: Path, board: Board) -> None:
    """Measure a real recording: held-out errors and computing time."""
    import numpy as np

    from core.calibration.board.calibrate import calibrate_board
    from core.calibration.board.config import CalibrateConfig
    from core.calibration.board.detect_take import detect_board
    from core.calibration.board.metrics import measure
    from core.progress import NullReporter
    from core.session import Session
    from core.session.ingest import ingest_videos

    with tempfile.TemporaryDirectory() as root:
        session = Session.create(Path(root) / "session")
        take = ingest_videos(session, [folder], kind="board", name="board", reporter=NullReporter())
        begin = time.perf_counter()
        seen = detect_board(take, board, NullReporter())
        detected_s = time.perf_counter() - begin
        found = calibrate_board(seen, CalibrateConfig(board=board), NullReporter())
        quality = measure(found)
        took = time.perf_counter() - begin
    errors = found.prediction.of()
    residual = found.solution.residual_px
    residual = residual[np.isfinite(residual[..., 0])]
    images = int((seen.image_index >= 0).sum())
    print(f"\n{folder}: {board.title}")
    rate = images / detected_s
    print(f"  {images} images searched in {detected_s:.1f} s ({rate:.0f} per second), everything in {took:.1f} s")
    print(
        f"  leave-one-camera-out on held-out blocks: median {np.median(errors):.2f} px, rms"
        f" {np.sqrt((errors**2).mean()):.2f} px, {np.nanmedian(found.prediction.loco_mm):.2f} mm;"
        f" {len(errors)} of {len(seen)} points"
    )
    rms, square = np.sqrt((residual**2).sum(-1).mean()), np.median(quality.length_mm)
    time_offsets = ", ".join(f"{c.name} {1000 * c.time_offset_s:+.0f} ms" for c in found.rig if c.posed)
    print(f"  all images: rms {rms:.2f} px; squares {square:.2f} mm; time offsets {time_offsets}")
    for note in found.notes:
        print(f"  {note}")


if __name__ == "__main__":
    elsewhere = rerun_in_environment(__file__)
    if elsewhere is not None:
        sys.exit(elsewhere)
    main()
