"""Command line: help texts, verbs, run folders, errors."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from core.cli import main
from core.cli.arguments import CommandLine, resolve_params
from core.cli.docs import attribute_docs, group_of, is_required
from core.cli.replacing import question
from core.cli.terminal import format_duration, format_key, print_result
from core.config import from_mapping, with_overrides
from core.errors import CoreError
from core.files import read_yaml, write_yaml
from core.jobs import Finished, Job, JobSpec
from core.pipelines.params import RunParams, TrainParams
from core.pipelines.rig.certify import set_clocks
from core.pipelines.verbs import VERBS
from core.session import BASELINE, RunLayout, Session
from core.session.clocks import CameraClock
from core.training.presets import PRESETS
from core.types import PANOPTIC15, Pose3DSequence

pytestmark = pytest.mark.slow


def with_baseline(session: Session) -> Session:
    """Store 3D poses of one person as the baseline of the session."""
    take = session.take("two_people")
    xyz = np.random.default_rng(0).uniform(0, 2000, (5, 1, 15, 3))
    Pose3DSequence(
        skeleton=PANOPTIC15,
        time_s=np.arange(5) / 25,
        xyz_mm=xyz,
        score=np.ones((5, 1, 15)),
        person_ids=(1,),
        provenance={"rig": session.rig_for(take).digest},
    ).save(take.layout.poses3d(BASELINE))
    return session


def help_of(*command: str) -> str:
    with pytest.raises(SystemExit) as left, redirect_stdout(io.StringIO()) as printed:
        main([*command, "--help"])
    assert left.value.code == 0
    return printed.getvalue()


def assert_is_help_text(text: str, where: str) -> None:
    """Check that a text is made of sentences and stands alone."""
    assert re.match(r'[A-Z0-9"]', text) and text.endswith("."), f"{where}: {text!r}"
    first = text.split()[0].strip(",").lower()
    assert first not in PRONOUNS, f"{where} refers to something that is not there: {text!r}"
    assert not text.startswith(("Whether ", "What ", "How ", "Of ", "As ")), f"{where} is no sentence: {text!r}"


PRONOUNS = {"and", "or", "it", "its", "they", "their", "them", "this", "these", "that", "those", "he", "she", "her"}


def test_the_help_lists_every_command_with_its_summary() -> None:
    shown = help_of()
    for name, parser in CommandLine().commands.items():
        assert re.search(rf"^  {name} +{re.escape(str(parser.description)[:-1])}$", shown, re.MULTILINE), name
    assert set(VERBS) < set(CommandLine().commands)


@pytest.mark.parametrize("name", CommandLine().commands)
def test_every_argument_has_a_help_text_that_stands_alone(name: str) -> None:
    command = CommandLine().commands[name]
    assert_is_help_text(str(command.description), name)
    for action in command._actions:
        assert_is_help_text(str(action.help), f"{name} {'/'.join(action.option_strings) or action.dest}")
    assert f"usage: selfpose {name}" in help_of(name)


def config_classes(cls: type[Any]) -> Iterator[type[Any]]:
    """Yield a dataclass of settings and those of all its groups."""
    yield cls
    for field in dataclasses.fields(cls):
        group = group_of(cls, field.name)
        if group is not None:
            yield from config_classes(group)


@pytest.mark.parametrize("cls", dict.fromkeys(c for verb in VERBS.values() for c in config_classes(verb.params)))
def test_every_setting_has_a_description_that_stands_alone(cls: type[Any]) -> None:
    described = attribute_docs(cls)
    for field in dataclasses.fields(cls):
        assert_is_help_text(described.get(field.name, ""), f"{cls.__module__}.{cls.__name__}.{field.name}")


@pytest.mark.parametrize("name", VERBS)
def test_every_simple_setting_of_a_verb_is_an_option_and_shows_its_default(name: str) -> None:
    shown = " ".join(help_of(name).split())
    for field in dataclasses.fields(VERBS[name].params):
        option = f"--{field.name.replace('_', '-')}"
        if group_of(VERBS[name].params, field.name) is not None:
            assert f"`{field.name}`" in shown
            continue
        assert option in shown
        if isinstance(field.default, bool):
            assert (f"{option}, --no-{option[2:]}" in shown and "Default: on." in shown) or "Default: off." in shown
        elif isinstance(field.default, str | int | float) and field.default != "":
            assert f"Default: {field.default:g}." if isinstance(field.default, float) else f"{field.default}." in shown
    assert "--config" in shown and "--set" in shown


@pytest.mark.parametrize("name", VERBS)
def test_the_settings_printed_for_a_verb_are_a_file_with_its_defaults(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", name]) == 0
    printed = capsys.readouterr().out
    (tmp_path / "c.yaml").write_text(printed)
    params = VERBS[name].params
    required = {f.name: "x" for f in dataclasses.fields(params) if is_required(f)}
    required |= {n: ["x"] for n in required if n in ("takes", "videos", "cameras")}
    read = read_yaml(tmp_path / "c.yaml") or {}
    assert set(read) == {f.name for f in dataclasses.fields(params)} - set(required)
    assert from_mapping(params, read | required) == from_mapping(params, required)
    assert all(f"# {name}:" in printed for name in required)


@pytest.mark.parametrize("name", PRESETS)
def test_the_settings_of_each_training_preset_are_printed(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "train", "--preset", name]) == 0
    (tmp_path / "c.yaml").write_text(capsys.readouterr().out)
    read = from_mapping(VERBS["train"].params, (read_yaml(tmp_path / "c.yaml") or {}) | {"takes": ["x"]})
    assert read.training == PRESETS[name]() and read.preset == ""


def test_new_and_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", str(tmp_path / "s")]) == 0
    assert str(tmp_path / "s") in capsys.readouterr().out
    assert main(["status", str(tmp_path / "s")]) == 0
    assert "import a calibration" in capsys.readouterr().out
    assert main(["new", str(tmp_path)]) == 1
    assert "is not empty" in capsys.readouterr().err


def test_cameras_are_listed_with_their_addresses(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cameras", "--modes"]) == 0
    printed = capsys.readouterr().out
    assert "demo:cam01" in printed and "genicam:" in printed


def test_the_capture_volume_is_shown_set_and_reset(sample_session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["volume", str(sample_session.root)]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "Derived from the rig alone" in printed and "64 x 28 x 24 voxels" in printed
    assert sample_session.volume is None
    assert main([*command, "--set", "size_mm=[4000,3000,2200]", "--set", "synthetic.side_share=0.1"]) == 0
    printed = capsys.readouterr().out
    assert "Set by hand" in printed and "4.00 x 3.00 x 2.20 m, 40 x 32 x 24 voxels" in printed
    chosen = sample_session.volume
    assert chosen is not None
    assert chosen.size_mm == (4000, 3000, 2200) and chosen.synthetic.side_share == 0.1
    assert chosen.rig == sample_session.require_rig().digest
    assert main([*command, "--set", "spacing_mm=60"]) == 0
    assert "68 x 52 x 36 voxels" in capsys.readouterr().out, "earlier values stay"
    for wrong, words in (("sizes_mm=3", "size_mm"), ("centre_mm=[90000,0,0]", "No two cameras")):
        assert main([*command, "--set", wrong]) == 1
        assert words in " ".join(capsys.readouterr().err.split())
    assert main([*command, "--reset"]) == 0
    assert "the rig alone" in capsys.readouterr().out
    assert sample_session.volume is None


def test_demo_is_made_once_and_opened_afterwards(sample_session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(p.name for p in sample_session.root.iterdir())
    assert main(["demo", str(sample_session.root)]) == 0
    assert sorted(p.name for p in sample_session.root.iterdir()) == before
    assert sample_session.take_names() == ["two_people"]
    assert sample_session.rig_for(sample_session.take("two_people")).names == ("cam01", "cam02", "cam03", "cam04")
    assert not [p for p in sample_session.root.parent.iterdir() if p.name.startswith(".")]


def test_a_verb_leaves_the_same_run_folder_as_the_worker(
    sample_session: Session, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = with_baseline(sample_session)
    write_yaml(tmp_path / "c.yaml", {"formats": ["csv"], "units": "m"})
    command = ["export", str(session.root), "--config", str(tmp_path / "c.yaml"), "--set", "up=y"]
    assert main([*command, "--formats", "json", "--folder", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr()
    path = tmp_path / "out" / "two_people_baseline.json"
    assert str(path) in printed.out and "Writing JSON" in printed.err
    written = json.loads(path.read_text())
    assert (written["units"], written["up"]) == ("m", "y")
    assert written["origin"]["rig"] == session.require_rig().digest
    manifest = path.with_suffix(".export.json")
    assert set((tmp_path / "out").iterdir()) == {path, manifest}, "options override the file"

    (run,) = session.runs()
    assert read_yaml(run.config)["take"] == "two_people", "the only take of the session was filled in"
    assert JobSpec.load(run.root).params == read_yaml(run.config)
    assert run.metrics.exists() and run.log.exists()
    job = Job(run.root)
    last = job.poll()[-1]
    assert job.state == "finished" and isinstance(last, Finished) and last.result["files"] == [str(path)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["pose2d", "{root}", "--take", "nobody"], ["no take 'nobody'", "two_people"]),
        (["pose2d", "{root}", "--set", "pose2d.long_sid=3"], ["pose2d.long_sid", "long_side_px"]),
        (["pose2d", "{root}", "--set", "pose2d"], ["not an override", "name=value"]),
        (["pose2d", "{root}", "--config", "{root}/none.yaml"], ["does not exist"]),
        (["export", "{root}"], ["no 3D poses", "Run 'triangulate'"]),
        (["export", "{root}", "--poses", "baseline", "--formats", "fbx"], ["fbx"]),
        (["pose2d", "{root}/takes"], ["not a session"]),
        (["resume", "{root}", "none"], ["no job 'none'", "Nothing was started"]),
    ],
)
def test_errors_are_printed_with_their_remedy(
    arguments: list[str], words: list[str], sample_session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    if "--poses" in arguments:
        with_baseline(sample_session)
    assert main([a.format(root=sample_session.root) for a in arguments]) == 1
    printed = " ".join(capsys.readouterr().err.split())
    assert all(word in printed for word in words), printed
    assert "Traceback" not in printed


def test_a_group_that_is_null_by_default_can_be_set_value_by_value() -> None:
    params = VERBS["record"].params(cameras=("left=demo:cam01",))
    board = with_overrides(params, ["board.columns=9", "board.rows=4"]).board
    assert (board.columns, board.rows) == (9, 4)
    with pytest.raises(CoreError, match=r"board\.column"):
        with_overrides(params, ["board.column=9"])


def test_wrong_usage_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, texts in (
        ([], ["usage: selfpose COMMAND SESSION", "triangulate"]),
        (["fly"], ["Unknown command 'fly'.", "Known: board-sheet"]),
        (["trian", "s"], ["Unknown command 'trian'.", "Did you mean 'train'?"]),
        (["export"], ["SESSION is missing.", "Usage: selfpose export SESSION [options]"]),
        (["export", "s", "--format", "c3d"], ["'export' has no option '--format'.", "Did you mean '--formats'?"]),
        (["export", "s", "--lr", "5"], ["'export' has no option '--lr'.", "selfpose config export"]),
        (["new", "s", "t"], ["Unexpected argument 't'.", "Usage: selfpose new SESSION"]),
        (["infer", "s", "--processes", "x"], ["--processes: invalid int value: 'x'."]),
    ):
        with pytest.raises(SystemExit) as left:
            main(arguments)
        assert left.value.code == 2
        printed = capsys.readouterr().err
        assert all(text in printed for text in texts), printed


def _run_job(session: Session, **params: object) -> tuple[subprocess.Popen[str], RunLayout]:
    run = session.new_run("count")
    JobSpec(verb="count", params=params).save(run.root)
    command = [sys.executable, "-m", "core.cli", "resume", str(session.root), run.name, "--trace"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True), run


def test_interrupting_stops_cleanly_and_resume_goes_on(tmp_path: Path, counting_verb: None) -> None:
    session = Session.create(tmp_path / "s")
    process, run = _run_job(session, until=10_000, pause_s=0.02)
    counter = run.root / "counter"
    while not counter.exists():
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert f"selfpose resume {run.root.parent.parent} {run.name}" in errors and "Traceback" not in errors
    assert Job(run.root).wait(5) == "cancelled"
    counter.write_text("9999")
    done = subprocess.run(
        [sys.executable, "-m", "core.cli", "resume", str(session.root), run.name],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "Counted: 1" in done.stdout


def test_an_unexpected_error_shows_its_trace_when_asked(tmp_path: Path, counting_verb: None) -> None:
    process, run = _run_job(Session.create(tmp_path / "s"), end="unexpected")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "ZeroDivisionError: one over zero" in errors and "in count" in errors
    assert "in count" in run.log.read_text()


def test_the_metrics_of_an_evaluation_are_printed_in_full() -> None:
    report = {
        "take": "walk",
        "frames": 100,
        "people_per_frame": {"2": 98, "1": 2},
        "methods": {
            "baseline": {"label": "Triangulation", "loco_px_median": 13.25, "identity_switches": 0},
            "trained": {"label": "Trained", "loco_px_median": 11.5, "people_per_frame": {"2": 100}},
        },
        "verdict": "The trained network is better by 1.75 px.",
    }
    console = Console(width=120, file=io.StringIO())
    print_result({"report": report, "exports": ["a.c3d"]}, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for piece in ("Exports: a.c3d", "2: 98, 1: 2", "13.25", "11.5", "2: 100", "Triangulation", report["verdict"]):
        assert str(piece) in text
    assert [format_duration(s) for s in (7.4, 61, 3723)] == ["8 s", "1 min", "1 h 2 min"]
    assert [format_key(key) for key in ("view_loco_px_median", "fps")] == ["View LOCO median (px)", "FPS"]


def test_the_module_runs_as_a_program() -> None:
    done = subprocess.run([sys.executable, "-m", "core.cli", "--version"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip().split()[0]) == (0, "selfpose-studio")


def _resolved(session: Path, *arguments: str) -> TrainParams:
    parsed = CommandLine().parse(["train", str(session), "--takes", "x", *arguments])
    return from_mapping(TrainParams, resolve_params(VERBS["train"], parsed, Session.open(session)))


def test_a_preset_and_single_training_settings_are_both_applied(tmp_path: Path) -> None:
    root = Session.create(tmp_path / "s").root
    for name, settings in PRESETS.items():
        expected = dataclasses.replace(settings(), max_minutes=0.5)
        one = _resolved(root, "--preset", name, "--set", "training.max_minutes=0.5")
        assert one.training == expected
        assert _resolved(root, "--set", "training.max_minutes=0.5", "--set", f"preset={name}") == one
        file = tmp_path / "c.yaml"
        file.write_text(f"preset: {name}\ntraining: {{max_minutes: 0.5, root: {{steps: 7}}}}\n")
        expected = dataclasses.replace(expected, root=dataclasses.replace(expected.root, steps=7))
        assert _resolved(root, "--config", str(file)).training == expected
    file.write_text("training: {max_minutes: 0.5}\n")  # the rest is that of `quick`, as without a file
    assert _resolved(root, "--config", str(file)) == _resolved(root, "--set", "training.max_minutes=0.5")
    parsed = CommandLine().parse(["run", str(root), "--take", "x", "--preset", "fast", "--set", "training.seed=5"])
    run = from_mapping(RunParams, resolve_params(VERBS["run"], parsed, Session.open(root)))
    assert run.training == dataclasses.replace(PRESETS["fast"](), seed=5)


def test_the_settings_of_two_presets_are_refused_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = Session.create(tmp_path / "s").root
    assert main(["config", "train", "--preset", "fast"]) == 0
    (tmp_path / "c.yaml").write_text(capsys.readouterr().out)
    with pytest.raises(CoreError, match="those of 'fast'"):
        _resolved(root, "--config", str(tmp_path / "c.yaml"), "--preset", "quick")
    with pytest.raises(CoreError, match="quik") as caught:
        _resolved(root, "--preset", "quik", "--set", "training.seed=5")
    assert "quick" in caught.value.hint


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_terminal_is_asked_before_the_calibration_is_replaced(
    sample_session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    import pty

    rig = sample_session.rig
    assert rig is not None
    other = dataclasses.replace(
        rig, cameras=tuple(dataclasses.replace(c, K=c.K * np.array([[1.01], [1.01], [1.0]])) for c in rig)
    )
    path = sample_session.root / "other.toml"
    other.save(path)
    command = [sys.executable, "-m", "core.cli", "import-rig", str(sample_session.root), "--path", str(path)]
    ours, theirs = pty.openpty()
    try:
        os.write(ours, b"n\n")
        asked = subprocess.run(command, stdin=theirs, stdout=theirs, stderr=theirs)
        said = os.read(ours, 10000).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert asked.returncode == 1
    assert "The session has a calibration" in said
    assert sample_session.rig.digest == rig.digest

    assert main(command[3:]) == 0  # without a terminal
    assert sample_session.rig.digest != rig.digest
    back = re.search(r"calibrations\S+--use([\w-]+)'", "".join(capsys.readouterr().err.split()))
    assert back is not None
    assert main(["calibrations", str(sample_session.root), "--use", back[1]]) == 0
    assert sample_session.rig.digest == rig.digest


def test_a_verb_asks_by_what_it_replaces(sample_session: Session) -> None:
    take = with_baseline(sample_session).take("two_people")

    def asked(name: str, **values: Any) -> str:
        return question(VERBS[name], values, sample_session)

    assert "1 3D result made with it will be out of date. Replace it?" in asked("calibrate")
    assert "1 3D result made with it will be transformed. Change the world coordinates?" in asked("set-world")
    assert asked("run", repair_rig=False) == asked("triangulate") == ""
    assert "Replace it if cameras do not fit the people?" in asked("run", repair_rig=True)
    assert asked("certify", take="two_people") == ""
    set_clocks(take, {name: CameraClock(offset_s=0.5 * (name == "cam02"), period_s=0.04) for name in take.cameras})
    assert asked("certify", take="two_people").startswith("The clocks of cam02 in two_people are corrected already.")
    sample_session.layout.rig.unlink()
    assert asked("set-world") == asked("calibrate") == ""
