"""Set-up scripts: missing libraries, installation, the lock file, and the reference network of the benchmarks."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

REPOSITORY = Path(__file__).resolve().parents[2]


def script(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import a script under a module name that nothing else uses."""
    monkeypatch.syspath_prepend(str(REPOSITORY / "scripts"))
    spec = importlib.util.spec_from_file_location(f"tested_{name}", REPOSITORY / "scripts" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The module, set to work on a temporary repository."""
    module = script("_environment", monkeypatch)
    for name in ("pyproject.toml", "requirements.lock"):
        (tmp_path / name).write_text(f"# {name}\n")
    (tmp_path / ".venv").mkdir()
    monkeypatch.setattr(module, "REPOSITORY", tmp_path)
    monkeypatch.setattr(module, "_VENV", tmp_path / ".venv")
    monkeypatch.setattr(module, "_STAMP", tmp_path / ".venv" / "stamp.json")
    monkeypatch.setattr(module, "_LOCK", tmp_path / "requirements.lock")
    return module


def test_packages_are_installed_only_after_a_change(
    environment: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    installed: list[str] = []
    monkeypatch.setattr(environment, "_checked", lambda command, problem: installed.append(command[-1]))

    def install(*extras: str) -> list[str]:
        installed.clear()
        environment._install_packages(Path(sys.executable), set(extras))
        return list(installed)

    assert install() == ["."]
    assert install() == [], "the second start is quick"
    assert install("test") == [".[test]"]
    assert install() == [] and install("test") == []
    assert install("smplx") == [".[smplx,test]"], "what was there stays"
    (tmp_path / "requirements.lock").write_text("changed")
    assert install() == [".[smplx,test]"]
    (tmp_path / ".venv" / "stamp.json").write_text("{broken")
    assert install() == ["."]


def test_a_failed_installation_is_tried_again(environment: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(command: list[str], problem: str) -> None:
        raise environment.SetupError(problem)

    monkeypatch.setattr(environment, "_checked", fail)
    for _ in range(2):
        with pytest.raises(environment.SetupError, match="network"):
            environment._install_packages(Path(sys.executable), set())


def test_an_interrupted_installation_says_how_to_go_on(
    environment: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(environment, "_works", lambda python: True)
    endless = [sys.executable, "-c", "import os, signal; os.kill(os.getppid(), signal.SIGINT); input()"]
    checked = environment._checked
    monkeypatch.setattr(environment, "_checked", lambda command, problem: checked(endless, problem))
    monkeypatch.setattr(environment, "_version", lambda python: "3.11")
    with pytest.raises(environment.SetupError, match="Run the script again"):
        environment.ensure(window=False)


def test_a_failing_program_shows_its_output(environment: ModuleType) -> None:
    with pytest.raises(environment.SetupError) as caught:
        environment._checked([sys.executable, "-c", "print('no space'); raise SystemExit(3)"], "It failed.")
    assert str(caught.value) == "no space\nIt failed."


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for Debian packages")
def test_missing_libraries_are_reported_as_debian_packages(
    environment: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(environment, "_loads", lambda library: library != "libEGL.so.1")
    monkeypatch.setattr(environment.shutil, "which", lambda name: None)
    found = environment._missing_system_packages(sys.executable, window=True, virtual_display=True)
    assert found == ["libegl1", "xvfb", "aravis-tools"]
    assert environment._missing_system_packages(sys.executable, window=False, virtual_display=False) == []


def test_the_install_command_is_shown_to_users_who_are_not_root(
    environment: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(environment.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(environment.os, "geteuid", lambda: 1000, raising=False)
    monkeypatch.setattr(environment.subprocess, "run", lambda *a, **k: pytest.fail("nothing may be run"))
    environment._install_system_packages(["libegl1", "xvfb"])
    assert "sudo apt-get install -y --no-install-recommends libegl1 xvfb" in capsys.readouterr().out


def test_an_unsupported_python_is_refused(environment: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment.sys, "version_info", (3, 9, 0, "final", 0))
    monkeypatch.setattr(environment.shutil, "which", lambda name: "/x/python3.12" if name == "python3.12" else None)
    assert environment._supported_python() == "/x/python3.12"
    monkeypatch.setattr(environment.shutil, "which", lambda name: None)
    with pytest.raises(environment.SetupError, match=r"Python 3\.11 to 3\.13 is needed"):
        environment._supported_python()


def test_run_returns_the_exit_code(environment: ModuleType) -> None:
    assert environment.run([sys.executable, "-c", "raise SystemExit(7)"]) == 7


def test_the_lock_pins_a_matching_version_of_every_dependency() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(r for group in project["optional-dependencies"].values() for r in group)]
    locked: dict[str, list[Version]] = {}
    for line in (REPOSITORY / "requirements.lock").read_text().splitlines():
        if line and not line.startswith("#"):
            pinned = Requirement(line)
            (only,) = pinned.specifier
            assert only.operator == "==" and pinned.url is None, line
            locked.setdefault(pinned.name.lower().replace("_", "-"), []).append(Version(only.version))
    for requirement in map(Requirement, wanted):
        versions = locked[requirement.name.lower().replace("_", "-")]
        assert all(v in requirement.specifier for v in versions), requirement
    assert locked["torch"] == [Version("2.13.0")], "pinned, so that pip prefers a local build of this version"


def test_the_reference_network_is_the_published_one(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    network = script("_yardstick", monkeypatch).pose_resnet50().eval()
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(34.0e6, rel=1e-3)
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 64, 96)).shape == (1, 15, 16, 24)


@pytest.mark.parametrize("name", ["start", "bench_path", "bench_speed", "bench_accuracy", "pretrain", "measure_errors"])
def test_scripts_explain_themselves_without_installing(name: str) -> None:
    done = subprocess.run(
        [sys.executable, f"scripts/{name}.py", "--help"], cwd=REPOSITORY, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0 and "usage" in done.stdout


def test_scripts_need_only_the_standard_library_to_begin() -> None:
    for path in (REPOSITORY / "scripts").glob("*.py"):
        top = set(re.findall(r"^(?:from|import) (\w+)", path.read_text(), re.MULTILINE))
        if path.stem in ("_environment", "start", "test"):
            assert top <= sys.stdlib_module_names | {"_environment"}, path.name


def test_the_check_script_can_be_run() -> None:
    path = REPOSITORY / ".ci" / "run"
    assert os.access(path, os.X_OK) and "set -euo pipefail" in path.read_text()
    assert subprocess.run(["bash", "-n", str(path)]).returncode == 0
    assert json.dumps("python3 scripts/test.py")[1:-1] in path.read_text()
