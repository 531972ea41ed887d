"""Set-up of all tests: few threads, temporary settings folders, a virtual display, the sample and shared data."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from core.session import Session

# Read by the numeric libraries when they load, so set before any of them: tests do small work on shared machines.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

REPOSITORY = Path(__file__).resolve().parent.parent
_GUI_FIXTURES = {"qtbot", "qapp", "window"}
_XVFB = pytest.StashKey["subprocess.Popen[bytes] | None"]()
_NO_DISPLAY = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Provide a display and temporary settings folders for the run."""
    hypothesis.settings.register_profile("shared", deadline=None)  # no test depends on free cores
    hypothesis.settings.load_profile("shared")
    config.stash[_XVFB] = None
    config.stash[_NO_DISPLAY] = ""
    _isolate_settings(config)
    needs_display = sys.platform.startswith("linux") and not os.environ.get("WAYLAND_DISPLAY")
    # Each worker of a parallel run has its own display, so that windows do not take the keyboard from each other.
    runs_tests = hasattr(config, "workerinput") or not config.getoption("numprocesses", None)
    if needs_display and runs_tests and not os.environ.get("DISPLAY"):
        _start_display(config)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the virtual display."""
    server = config.stash.get(_XVFB, None)
    if server is not None:
        server.terminate()
        server.wait(10)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip tests of the window, with the reason, where there is no display."""
    reason = config.stash[_NO_DISPLAY]
    for item in items if reason else ():
        if _GUI_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.skip(reason=reason))


def _isolate_settings(config: pytest.Config) -> None:
    """Redirect settings, caches and data to a temporary home, for this process and the workers it starts."""
    home = Path(tempfile.mkdtemp(prefix="selfpose-test-home-"))
    config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))
    for variable, folder in {
        "XDG_CONFIG_HOME": "config",
        "XDG_CACHE_HOME": "cache",
        "XDG_DATA_HOME": "data",
        "XDG_STATE_HOME": "state",
    }.items():
        (home / folder).mkdir()
        os.environ[variable] = str(home / folder)
    (home / "run").mkdir(mode=0o700)
    os.environ.setdefault("XDG_RUNTIME_DIR", str(home / "run"))


def _start_display(config: pytest.Config) -> None:
    """Start Xvfb, which chooses a free display number: a fixed one collides with other displays."""
    program = shutil.which("Xvfb")
    if program is None:
        config.stash[_NO_DISPLAY] = "no display, and Xvfb (Debian package xvfb) is not installed"
        return
    read, write = os.pipe()
    command = [program, "-displayfd", str(write), "-screen", "0", "1600x1000x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[write], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(write)
    with os.fdopen(read) as answer:
        number = answer.readline().strip()
    if not number:
        server.wait(10)
        config.stash[_NO_DISPLAY] = "no display, and Xvfb did not start"
        return
    config.stash[_XVFB] = server
    os.environ["DISPLAY"] = f":{number}"
    os.environ.setdefault("QT_QPA_PLATFORM", "xcb")


@pytest.fixture(scope="session")
def qapp_args() -> list[str]:
    """Set Qt attributes and return the arguments; pytest-qt calls this just before it creates the application.

    Windows that share GL contexts keep their image when a dock floats.
    """
    from PySide6.QtCore import QCoreApplication, Qt

    QCoreApplication.setAttribute(Qt.ApplicationAttribute.AA_ShareOpenGLContexts)
    return ["selfpose-studio"]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of recorded data next to the checkout; tests that need it are skipped without it."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the recorded test data is not on this machine (../shared/data)")
    return folder


@pytest.fixture(scope="session")
def sample_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a session from the embedded sample, once per test run. Do not write to it: see `sample_session`."""
    from core.pipelines.demo import create_demo
    from core.progress import NullReporter

    root = tmp_path_factory.mktemp("sample") / "two_people"
    create_demo(root, NullReporter())
    return root


@pytest.fixture
def sample_session(sample_root: Path, tmp_path: Path) -> Session:
    """Return a copy of the sample session for one test (take "two_people", cameras cam01 to cam04, their rig)."""
    from core.session import Session

    shutil.copytree(sample_root, tmp_path / "two_people")
    return Session.open(tmp_path / "two_people")


@pytest.fixture
def short_session(sample_session: Session) -> Session:
    """Return a sample session whose take has only the first few frames."""
    return first_frames(sample_session)


def first_frames(session: Session, frames: int = 6) -> Session:
    """Shorten the take of the sample to its first frames."""
    from core.session import Timeline

    take = session.take("two_people")
    times = take.timeline()
    session.write_take(
        dataclasses.replace(take.manifest, n_frames=frames),
        Timeline(
            cameras=times.cameras,
            time_s=times.time_s[:frames],
            frame_index=times.frame_index[:frames],
            frame_time_s=times.frame_time_s[:frames],
        ),
    )
    return session


@pytest.fixture
def counting_verb(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the verb "count" of `tests/hooks` in child processes of the test."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (REPOSITORY / "tests" / "hooks", REPOSITORY))))
