"""Import contracts, unique public names and folder sizes, with proofs that each guard can fail."""

from __future__ import annotations

import ast
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
"""Each contract with a module that breaks it; the last one reaches torch only indirectly."""

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
    """A copy of the packages that tests may break."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copy(REPOSITORY / "pyproject.toml", folder)
    for package in ("core", "studio"):
        shutil.copytree(REPOSITORY / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.mark.slow
def test_every_contract_holds_and_can_break(copy: Path) -> None:
    held = lint(copy)
    assert held.returncode == 0, held.stdout
    assert {c for c in CONTRACTS if re.search(rf"{c} +KEPT", held.stdout)} == set(CONTRACTS)
    for path, line in CONTRACTS.values():
        (copy / path).write_text(f"{line}\n")
    (copy / "core" / "undeclared.py").write_text("")
    broken = lint(copy)
    assert broken.returncode != 0
    assert {c for c in CONTRACTS if re.search(rf"{c} +BROKEN", broken.stdout)} == set(CONTRACTS), broken.stdout
    assert "core.undeclared" in broken.stdout, "a module that belongs to no layer is reported"


@pytest.mark.slow
def test_every_module_of_the_window_imports_without_torch() -> None:
    done = subprocess.run([sys.executable, "-c", _WITHOUT_TORCH], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    count, blocked = done.stdout.splitlines()
    assert int(count.split()[0]) > 5
    assert blocked == "blocked torch", "the guard itself can fail"


_MOST_MODULES = 16
_SHARED_NAMES = {"main"}
"""Public names that may occur in several modules: `main` is the entry point of each program."""


def public_names(folder: Path) -> dict[str, list[str]]:
    """Return the modules that define each public function and class on module level."""
    names: dict[str, list[str]] = {}
    for package in ("core", "studio"):
        for path in sorted((folder / package).rglob("*.py")):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                    names.setdefault(node.name, []).append(str(path.relative_to(folder)))
    return names


def duplicates(folder: Path) -> dict[str, list[str]]:
    """Return the public names that several modules define."""
    names = public_names(folder).items()
    return {name: paths for name, paths in names if len(paths) > 1 and name not in _SHARED_NAMES}


@pytest.mark.slow
def test_no_two_public_functions_or_classes_share_a_name(tmp_path: Path) -> None:
    assert duplicates(REPOSITORY) == {}
    for path in ("core/a.py", "studio/b.py"):
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).write_text("def same() -> None: ...\ndef _private() -> None: ...\n")
    assert duplicates(tmp_path) == {"same": ["core/a.py", "studio/b.py"]}, "the guard itself can fail"


def test_folders_stay_small_enough_to_read() -> None:
    counts = {
        str(folder.relative_to(REPOSITORY)): sum(path.stem != "__init__" for path in folder.glob("*.py"))
        for package in ("core", "studio")
        for folder in [REPOSITORY / package, *(p for p in (REPOSITORY / package).rglob("*") if p.is_dir())]
    }
    assert len(counts) > 20
    assert {folder: n for folder, n in counts.items() if n > _MOST_MODULES} == {}
