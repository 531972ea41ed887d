"""Which package may import which, and that each of the guards can fail."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
CONTRACTS = {
    "core knows neither the studio nor any GUI toolkit": ("core/geometry/blocked.py", "import PySide6"),
    "core is layered": ("core/types/blocked.py", "import core.geometry"),
    "pages do not import each other": ("studio/pages/view/blocked.py", "import studio.pages.train"),
    "the window opens without torch": ("studio/blocked.py", "import core.models.networks"),
}
"""Contract, and a module with an import that breaks it; the last one reaches torch only indirectly."""

_WITHOUT_TORCH = """
import importlib, pkgutil, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "onnxruntime"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
import studio

modules = [m.name for m in pkgutil.walk_packages(studio.__path__, "studio.") if not m.name.endswith("__main__")]
for name in modules:
    importlib.import_module(name)
print(len(modules), "modules")
try:
    importlib.import_module("core.models.networks")
except ModuleNotFoundError as error:
    print("blocked", error)
"""


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    code = "import sys; from importlinter.cli import lint_imports_command; lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-c", code, "--no-cache"], cwd=folder, capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program's modules in a folder where they may be broken."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copy(REPOSITORY / "pyproject.toml", folder)
    for package in ("core", "studio"):
        shutil.copytree(REPOSITORY / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_the_contracts_hold_and_every_one_of_them_can_break(copy: Path) -> None:
    held = lint(copy)
    assert held.returncode == 0, held.stdout
    assert {c for c in CONTRACTS if re.search(rf"{c} +KEPT", held.stdout)} == set(CONTRACTS)
    for path, line in CONTRACTS.values():
        (copy / path).write_text(f"{line}\n")
    (copy / "core" / "undeclared.py").write_text("")
    broken = lint(copy)
    assert broken.returncode != 0
    assert {c for c in CONTRACTS if re.search(rf"{c} +BROKEN", broken.stdout)} == set(CONTRACTS), broken.stdout
    assert "core.undeclared" in broken.stdout, "a module that no layer names is found"


def test_every_module_of_the_window_loads_where_torch_is_absent() -> None:
    done = subprocess.run([sys.executable, "-c", _WITHOUT_TORCH], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    count, blocked = done.stdout.splitlines()
    assert int(count.split()[0]) > 5
    assert blocked == "blocked torch", "the guard itself can fail"
