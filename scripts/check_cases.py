"""Run the command line on files and footage that caused problems for users; print expected and actual results.

The folder of cases contains the folders `rigs` and `footage`, with one folder of input files per case.

python scripts/check_cases.py ../shared/cases
python scripts/check_cases.py ../shared/cases --only kalibr
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _environment import run_script

_CALIBRATION_MM = 20.0
"""Limit of the position error of cameras calibrated from a drawn board."""


@dataclass(frozen=True)
class Outcome:
    """Result of one check.

    Attributes:
        expected: Expected result in words.
        got: Actual result.
        right: True if they agree.
    """

    expected: str
    got: str
    right: bool


class Program:
    """Command line on sessions in a folder.

    Args:
        cases: Folder of the cases.
        work: Empty folder for the sessions.
    """

    def __init__(self, cases: Path, work: Path) -> None:
        self.cases, self._work, self._count = cases, work, 0
        self.common = cases / "footage" / "common"

    def __call__(self, *arguments: object) -> tuple[int, str]:
        """Run a command; return the exit code and its entire output in one line."""
        from core.cli import main

        out = io.StringIO()
        columns, os.environ["COLUMNS"] = os.environ.get("COLUMNS"), "400"
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
                try:
                    code = main([str(a) for a in arguments])
                except SystemExit as exit_:
                    code = int(exit_.code or 0)
        finally:
            os.environ.pop("COLUMNS") if columns is None else os.environ.__setitem__("COLUMNS", columns)
        return code, " ".join(out.getvalue().split())

    def session(self) -> Path:
        """Create an empty session."""
        self._count += 1
        path = self._work / f"session{self._count}"
        self("new", path)
        return path

    def session_with_rig(self, cameras: int = 4) -> Path:
        """Create a session with the common rig and the take `t` of its first cameras."""
        session = self.session()
        shutil.copy(self.common / "rig.toml", session / "rig.toml")
        videos = sorted((self.common / "videos").glob("*.mp4"))[:cameras]
        self("import-take", session, "--videos", *videos, "--name", "t")
        return session

    def folder(self, name: str) -> Path:
        """Return a new empty folder."""
        path = self._work / name
        path.mkdir(parents=True)
        return path


Check = Callable[[Program], Iterator[Outcome]]
CHECKS: dict[str, Check] = {}
"""Checks by the path of their case."""


def case(name: str) -> Callable[[Check], Check]:
    """Register the check of a case."""

    def register(check: Check) -> Check:
        CHECKS[name] = check
        return check

    return register


def pixel_error(session: Path, expected: dict[str, Any]) -> float:
    """Return the largest distance in px of projected world points from the expected ones."""
    import numpy as np

    from core.geometry import project
    from core.types.camera import CameraRig

    rig = CameraRig.load(session / "rig.toml")
    if set(rig.names) != set(expected["pixels_by_camera"]):
        return float("inf")
    if "points_m_in_cam0" in expected:
        R, t = rig[0].pose
        points = (np.array(expected["points_m_in_cam0"]) * 1000 - t) @ R
    else:
        points = np.array(expected["world_mm_z_up"])
    errors = [
        np.linalg.norm(project(camera, points) - np.array(expected["pixels_by_camera"][camera.name]), axis=-1).max()
        for camera in rig
    ]
    return float(max(errors))


def read_as_expected(program: Program, folder: str, *files: str, options: tuple[str, ...] = ()) -> Iterator[Outcome]:
    """Import rig files of a case and compare pixels."""
    root = program.cases / folder
    expected = json.loads((root / "expected.json").read_text())
    for file in files:
        session = program.session()
        code, text = program("import-rig", session, "--path", root / file, *options)
        error = pixel_error(session, expected) if not code else float("inf")
        got = f"{error:.3f} px" if error < float("inf") else text[-220:]
        yield Outcome(f"{file}: pixels within 0.05", got, error < 0.05)


def says(text: str, *words: str) -> bool:
    """Return whether a text contains all words, ignoring case."""
    return all(word.lower() in text.lower() for word in words)


def _register_simple() -> None:
    files = {
        "byte_order_mark": ("bom.json", "bom.toml", "bom_colmap", "bom_emo"),
        "colmap_no_empty_lines": ("colmap_noblank",),
        "faster_voxelpose_own_rig": ("fvp_custom.json",),
        "fisheye_named_otherwise": (
            "distortion_type.json",
            "is_fisheye.json",
            "model.json",
            "model_type.json",
            "opencv_fisheye.json",
        ),
        "fourd_distcoeff": ("fourd.json", "fourd_R_T.json"),
        "kalibr_camchain": ("camchain.yaml",),
        "rich_xml": ("rich",),
        "separate_coefficients": ("separate_k.json",),
        "xrprimer": ("xrprimer",),
    }
    for name, names in files.items():
        CHECKS[f"rigs/{name}"] = lambda program, name=name, names=names: read_as_expected(
            program, f"rigs/{name}", *names
        )


_register_simple()


@case("rigs/camera_to_world")
def _camera_to_world(program: Program) -> Iterator[Outcome]:
    file = program.cases / "rigs/camera_to_world/renderme.json"
    _, text = program("import-rig", program.session(), "--path", file)
    yield Outcome(
        "says camera to world, and how to say so", text[-220:], says(text, "camera to world", "camera_to_world")
    )
    yield from read_as_expected(
        program, "rigs/camera_to_world", "renderme.json", options=("--set", "pose_is=camera_to_world")
    )


@case("rigs/fourd_distcoeff, sizes")
def _fourd_sizes(program: Program) -> Iterator[Outcome]:
    from core.types.camera import CameraRig

    session = program.session()
    program("import-rig", session, "--path", program.cases / "rigs/fourd_distcoeff/calibration_shelf_sizes.json")
    sizes = {camera.size_px for camera in CameraRig.load(session / "rig.toml")}
    yield Outcome("sizes 1032x776", str(sorted(sizes)), sizes == {(1032, 776)})


@case("rigs/easymocap_leading_zero")
def _leading_zero(program: Program) -> Iterator[Outcome]:
    from core.types.camera import CameraRig

    session = program.session()
    _, text = program("import-rig", session, "--path", program.cases / "rigs/easymocap_leading_zero/emo_names")
    file = session / "rig.toml"
    posed = [camera.posed for camera in CameraRig.load(file)] if file.is_file() else []
    yield Outcome("4 cameras with poses", f"{sum(posed)} posed. {text[-120:]}", sum(posed) == 4)


@case("rigs/lenses_only_remedy")
def _lenses_only(program: Program) -> Iterator[Outcome]:
    _, text = program("import-rig", program.session(), "--path", program.cases / "rigs/lenses_only_remedy/p229.toml")
    yield Outcome(
        "names calibrate-people and fixed_intrinsics", text[-330:], says(text, "calibrate-people", "fixed_intrinsics")
    )


@case("rigs/metashape_xml")
def _metashape(program: Program) -> Iterator[Outcome]:
    code, text = program("import-rig", program.session(), "--path", program.cases / "rigs/metashape_xml/metashape.xml")
    yield Outcome("read, or named as Metashape's", text[-220:], not code or says(text, "metashape"))


@case("rigs/ros_misspelt")
def _ros(program: Program) -> Iterator[Outcome]:
    from core.types.camera import CameraRig

    session = program.session()
    _, text = program("import-rig", session, "--path", program.cases / "rigs/ros_misspelt/ros_misspelt")
    file = session / "rig.toml"
    k1 = float(next(iter(CameraRig.load(file))).distortion[0]) if file.is_file() else 0.0
    yield Outcome("k1 of cam1 is -0.14, or the key is named", f"k1 {k1}", k1 == -0.14 or says(text, "distortion_coef"))


@case("rigs/stereo_pair")
def _stereo(program: Program) -> Iterator[Outcome]:
    from core.types.camera import CameraRig

    for file in sorted((program.cases / "rigs/stereo_pair").glob("*.yml")):
        session = program.session()
        _, text = program("import-rig", session, "--path", file)
        rig = CameraRig.load(session / "rig.toml") if (session / "rig.toml").is_file() else ()
        posed = sum(camera.posed for camera in rig)
        yield Outcome(f"{file.name}: two posed cameras", f"{posed} posed. {text[-150:]}", posed == 2)


def drawn(program: Program, folder: str, kind: str, *options: str) -> Path:
    """Return a session with the take `board` of a drawn board."""
    out = program.folder(f"drawn{time.monotonic_ns()}")
    script = program.cases / "rigs" / folder / "draw.py"
    subprocess.run([sys.executable, str(script), kind, str(out), *options], check=True, capture_output=True)
    session = program.session()
    videos = sorted(p for p in out.rglob("*") if p.suffix in (".mp4", ".avi", ".mkv"))
    program("import-take", session, "--videos", *videos, "--name", "board", "--kind", "board")
    return session


def calibrated(program: Program, session: Path, **board: object) -> tuple[str, float]:
    """Calibrate with settings of the board; return the output, and the error of cam1 to cam3 in mm."""
    import numpy as np

    from core.types.camera import CameraRig

    options = [f"calibration.board.{name}={value}" for name, value in board.items()]
    code, text = program("calibrate", session, "--take", "board", *(x for o in options for x in ("--set", o)))
    file = session / "rig.toml"
    if code or not file.is_file():
        return text, float("inf")
    first, *_, last = CameraRig.load(file)
    if not (first.posed and last.posed):
        return text, float("inf")
    centres = (first.centre_mm, last.centre_mm)
    return text, float(abs(np.linalg.norm(centres[0] - centres[-1]) - 1503.3))


@case("rigs/first_id_not_named")
def _first_id(program: Program) -> Iterator[Outcome]:
    session = drawn(program, "first_id_not_named", "charuco", "--ids", "18")
    text, _ = calibrated(program, session, dictionary="DICT_5X5_100", first_id=0, square_mm=70, marker_mm=50)
    yield Outcome("names first_id 18, or uses it", text[-260:], says(text, "first_id", "18"))


@case("rigs/inner_corners_for_squares")
def _inner_corners(program: Program) -> Iterator[Outcome]:
    session = drawn(program, "inner_corners_for_squares", "chess")
    started = time.process_time()
    text, _ = calibrated(program, session, kind="chessboard", columns=8, rows=5, square_mm=60)
    took = time.process_time() - started
    yield Outcome("names 9 x 6 squares", f"{took:.0f} s of CPU. {text[-260:]}", says(text, "9 x 6", "squares"))


@case("rigs/mirrored_videos_all")
def _mirrored(program: Program) -> Iterator[Outcome]:
    for cameras, words in ((("0", "1", "2"), "all videos are mirrored"), (("1",), "the video of cam2 is mirrored")):
        session = drawn(program, "mirrored_videos_all", "charuco", "--mirror", *cameras)
        text, _ = calibrated(program, session, square_mm=70, marker_mm=50)
        yield Outcome(words, text[text.lower().find("mirror") - 60 :][:260], says(text, words))


@case("rigs/fisheye_as_pinhole")
def _fisheye(program: Program) -> Iterator[Outcome]:
    session = drawn(program, "fisheye_as_pinhole", "fisheye")
    text, error = calibrated(program, session, square_mm=140, marker_mm=100)
    got = f"cam1 to cam3 off by {error:.1f} mm. {text[-200:]}"
    yield Outcome("fisheye is chosen, or the misfit is said", got, error < _CALIBRATION_MM or says(text, "fisheye"))


def against_truth(program: Program, session: Path) -> tuple[str, bool]:
    """Return a comparison of the triangulated take with the exact people, and whether it is right."""
    import numpy as np

    from core.errors import CoreError
    from core.session import Session

    truth = np.load(program.common / "truth_mm.npy")
    try:
        poses = Session.open(session).take("t").poses3d("baseline")
    except CoreError as fault:
        return f"no poses: {fault}", False
    both = float((poses.present.sum(1) == 2).mean())
    n = min(len(poses.time_s), len(truth))
    distance = np.nanmean(
        np.linalg.norm(poses.xyz_mm[:n, :, None] - truth[:n, None, : poses.xyz_mm.shape[2]], axis=-1), -1
    )
    error = float(np.nanmedian(np.nanmin(distance, 1)))
    got = f"2 people in {both:.0%} of frames, ids {poses.person_ids}, {error:.1f} mm"
    return got, both == 1 and len(poses.person_ids) == 2 and error < 6


def imported(program: Program, name: str, *options: str) -> tuple[Path, str]:
    """Import the 2D poses of a case and triangulate them."""
    session = program.session_with_rig()
    code, text = program(
        "import-poses2d", session, "--take", "t", "--path", program.cases / "footage" / name / "poses", *options
    )
    if not code:
        text += " " + program("triangulate", session, "--take", "t")[1]
    return session, text


def _poses(name: str, *words: str) -> None:
    def check(program: Program) -> Iterator[Outcome]:
        session, text = imported(program, name)
        got, right = against_truth(program, session)
        if right or not words:
            yield Outcome("2 people in all frames, 2 ids, about 3 mm", got, right)
        else:
            yield Outcome(f"right, or says: {', '.join(words)}", f"{got}. {text[-300:]}", says(text, *words))

    CHECKS[f"footage/{name}"] = check


_poses("body25b")
_poses("halpe26-pose2sim")
_poses("numbered-from-1")
_poses("person-twice")
_poses("poses-of-half-size", "half")


@case("footage/one-camera-late")
def _late(program: Program) -> Iterator[Outcome]:
    _, text = imported(program, "one-camera-late")
    yield Outcome(
        "says that cam01 is late by 0.2 s", text[-300:], says(text, "cam01") and ("0.2" in text or "200 ms" in text)
    )


@case("footage/poses-file-not-folder")
def _alphapose(program: Program) -> Iterator[Outcome]:
    session = program.session_with_rig()
    file = program.cases / "footage/poses-file-not-folder/poses.json"
    _, text = program("import-poses2d", session, "--take", "t", "--path", file)
    yield Outcome("is not called a missing folder", text[-250:], not says(text, "there is no folder"))


@case("footage/imported-poses-not-used")
def _used(program: Program) -> Iterator[Outcome]:
    session, _ = imported(program, "numbered-from-1")
    got, right = against_truth(program, session)
    yield Outcome("triangulate takes the only 2D poses", got, right)


def take_of(session: Path, name: str) -> Any:
    """Return the manifest of a take; None if there is none."""
    from core.errors import CoreError
    from core.session import Session

    try:
        return Session.open(session).take(name).manifest
    except CoreError:
        return None


@case("footage/mkv-60fps")
def _mkv(program: Program) -> Iterator[Outcome]:
    session = program.session()
    folder = program.cases / "footage/mkv-60fps"
    _, text = program("import-take", session, "--videos", folder, "--name", "t")
    manifest = take_of(session, "t")
    fps = manifest.fps if manifest else None
    yield Outcome("60 frames per second", f"{fps}. {text[-100:]}", fps == 60)


@case("footage/cut-short-copy")
def _cut(program: Program) -> Iterator[Outcome]:
    session = program.session()
    _, text = program("import-take", session, "--videos", program.cases / "footage/cut-short-copy", "--name", "t")
    yield Outcome("35 frames; B breaks off, 55 of 90 missing", text[-250:], says(text, "B.mp4", "55", "90"))


@case("footage/raw-h264")
def _raw(program: Program) -> Iterator[Outcome]:
    folder = program.cases / "footage/raw-h264"
    for videos in ([folder], sorted(folder.glob("*.h264"))):
        _, text = program("import-take", program.session(), "--videos", *videos, "--name", "t")
        yield Outcome("says that there are no times, and how to wrap it", text[-300:], says(text, "ffmpeg", "-c copy"))


@case("footage/picture-folders")
def _images(program: Program) -> Iterator[Outcome]:
    session = program.session()
    folder = program.cases / "footage/picture-folders"
    _, text = program("import-take", session, "--videos", folder, "--name", "t", "--set", "fps=30")
    manifest = take_of(session, "t")
    got = f"{len(manifest.cameras)} cameras at {manifest.fps}" if manifest else text[-250:]
    yield Outcome("a take of 2 cameras at 30, or how to make videos", got, manifest is not None or says(text, "ffmpeg"))


@case("footage/c3d-16-people")
def _c3d(program: Program) -> Iterator[Outcome]:
    import ezc3d

    session = program.session_with_rig()
    script = program.cases / "footage/c3d-16-people/make.py"
    subprocess.run([sys.executable, str(script), str(session)], check=True, capture_output=True)
    code, text = program("export", session, "--take", "t", "--poses", "baseline", "--formats", "c3d")
    files = list(session.rglob("*.c3d"))
    try:
        points = [ezc3d.c3d(str(f))["data"]["points"].shape[1] for f in files]
    except OSError as error:
        yield Outcome("272 points, several files or a refusal", f"ezc3d: {error}", False)
        return
    yield Outcome("272 points, several files or a refusal", f"{points} {text[-120:]}", sum(points) == 272 or code == 1)


@case("footage/preset-overrules-set")
def _preset(program: Program) -> Iterator[Outcome]:
    from core.cli.arguments import CommandLine, resolve_params
    from core.pipelines.verbs import VERBS
    from core.session import Session

    session = program.session_with_rig()
    arguments = ["train", str(session), "--takes", "t", "--preset", "quick", "--set", "training.max_minutes=0.5"]
    values = resolve_params(VERBS["train"], CommandLine().parse(arguments), Session.open(session))
    minutes = values["training"]["max_minutes"]
    yield Outcome("training.max_minutes is 0.5", f"{minutes}", minutes == 0.5)


@case("footage/two-cameras-trained-worse")
def _two_cameras(program: Program) -> Iterator[Outcome]:
    session = program.session_with_rig(2)
    poses = program.folder(f"poses{time.monotonic_ns()}")
    for camera in ("cam01", "cam02"):
        shutil.copytree(program.cases / "footage/numbered-from-1/poses" / camera, poses / camera)
    program("import-poses2d", session, "--take", "t", "--path", poses)
    program("triangulate", session, "--take", "t")
    program("infer", session, "--take", "t", "--model", "fast")
    program("evaluate", session, "--take", "t")
    _, text = program("export", session, "--take", "t", "--formats", "trc")
    right = says(text, "not measured") or says(text, "triangulation") or says(text, "baseline")
    yield Outcome("exports triangulation, or says that the result is not measured", text[-250:], right)


@case("footage/window-without-display")
def _no_display(program: Program) -> Iterator[Outcome]:
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")}
    command = [sys.executable, "-m", "studio"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    text = " ".join((ended.stdout + ended.stderr).split())
    right = ended.returncode == 1 and says(text, "display") and not says(text, "reinstalling")
    yield Outcome("one sentence and exit code 1", f"exit code {ended.returncode}: {text[-200:]}", right)


def check_cases(asked: argparse.Namespace) -> None:
    """Run the checks; exit with 1 if one failed."""
    from core.jobs.system import keep_freed_memory

    keep_freed_memory()
    wrong = 0
    with tempfile.TemporaryDirectory() as work:
        program = Program(asked.cases.resolve(), Path(work))
        for name, check in CHECKS.items():
            if asked.only not in name:
                continue
            try:
                outcomes = list(check(program))
            except Exception as error:  # noqa: BLE001 - one fault must not hide the other cases
                outcomes = [Outcome("no exception", f"{type(error).__name__}: {error}", False)]
            for outcome in outcomes:
                wrong += not outcome.right
                print(f"{'ok   ' if outcome.right else 'WRONG'} {name}: expected {outcome.expected}", flush=True)
                print(f"        got {outcome.got}", flush=True)
    print(f"{wrong} wrong")
    if wrong:
        raise SystemExit(1)


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("cases", type=Path, help="folder of the cases")
    parser.add_argument("--only", default="", help="part of the name of a case")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(run_script(__file__, arguments, check_cases))
