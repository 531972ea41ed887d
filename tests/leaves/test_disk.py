"""Temporaries that never look like results, and sentences for disks that cannot be written."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core.disk import DiskError, disk_error, is_temporary, replacing, replacing_folder, sweep, temporary_in
from core.errors import CoreError
from core.files import write_text
from core.process import ProcessIdentity
from core.session.store import Session
from core.types import Pose3DSequence
from core.types.skeleton import PANOPTIC15

KILLED = """
import os, sys
from pathlib import Path
from core.disk import replacing, replacing_folder
folder = Path(sys.argv[1])
with replacing(folder / "poses.nc") as temporary, replacing_folder(folder / "last", folder / ".last.old") as fresh:
    temporary.write_bytes(b"half")
    (fresh / "weights").write_bytes(b"half")
    os.kill(os.getpid(), 9)
"""


def killed(folder: Path) -> None:
    """Let a process be killed while it replaces a file and a folder."""
    assert subprocess.run([sys.executable, "-c", KILLED, str(folder)], check=False).returncode == -signal.SIGKILL


def test_a_temporary_matches_no_pattern_of_results(tmp_path: Path) -> None:
    with replacing(tmp_path / "baseline.nc") as temporary:
        assert temporary.parent == tmp_path and temporary.suffix == ""
        assert is_temporary(temporary.name)
        for pattern in ("*.nc", "*.npz", "*.json", "*.yaml", "take*", "*/meta.json"):
            assert not list(tmp_path.glob(pattern))


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_temporaries_of_dead_processes_are_swept_and_those_of_living_ones_stay(tmp_path: Path) -> None:
    killed(tmp_path)
    mine = temporary_in(tmp_path / "deep")
    mine.parent.mkdir()
    mine.write_bytes(b"")
    left = [p for p in tmp_path.iterdir() if is_temporary(p.name)]
    assert sorted(p.is_dir() for p in left) == [False, True]
    (tmp_path / ".last.new-0123abcd").mkdir()  # of an earlier version
    (tmp_path / ".tmp-notes").write_text("of the user")
    sweep(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"deep", ".tmp-notes"} and mine.exists()


def test_a_temporary_of_an_earlier_boot_or_a_reused_process_id_is_abandoned(tmp_path: Path) -> None:
    mine = temporary_in(tmp_path).name
    process = ProcessIdentity.of()
    created = f"_{process.pid}-{round(100 * process.created)}-"
    reused = mine.replace(created, f"_{process.pid}-{round(100 * process.created) + 500}-")
    other_computer = ".tmp-" + ("000000" if mine[5:11] != "000000" else "111111") + mine[11:]
    names = {mine, reused, other_computer}
    if process.boot:
        names.add(mine.replace(process.boot, "0" * len(process.boot)))
    for name in names:
        (tmp_path / name).write_bytes(b"")
    assert len(names) >= 3
    sweep(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {mine, other_computer}


@pytest.mark.skipif(os.name == "nt", reason="needs a umask")
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_files_and_folders_follow_the_umask(tmp_path: Path, umask: int) -> None:
    code = (
        "import os, sys; from pathlib import Path; from core.files import write_text\n"
        f"os.umask({umask}); write_text(Path(sys.argv[1]), 'x')"
    )
    path = tmp_path / "folder" / "file"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o777 & ~umask


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    folder, aside = tmp_path / "last", tmp_path / ".last.old"
    for content in ("one", "two"):
        with replacing_folder(folder, aside) as fresh:
            (fresh / "a").write_text(content)
        assert (folder / "a").read_text() == content
    with pytest.raises(ZeroDivisionError), replacing_folder(folder, aside) as fresh:
        (fresh / "a").write_text("half")
        raise ZeroDivisionError
    assert (folder / "a").read_text() == "two"
    assert [p.name for p in tmp_path.iterdir()] == ["last"]


def sequence(frames: int) -> Pose3DSequence:
    shape = (frames, 2, len(PANOPTIC15))
    return Pose3DSequence(
        skeleton=PANOPTIC15,
        time_s=np.arange(frames) / 30,
        xyz_mm=np.random.default_rng(0).normal(size=(*shape, 3)),
        score=np.ones(shape),
        person_ids=(1, 2),
    )


@pytest.fixture
def small_files() -> object:
    """Let the system refuse files above 64 kB, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.skipif(os.name == "nt", reason="needs a limit on file sizes")
def test_a_file_that_does_not_fit_is_a_sentence_and_leaves_the_earlier_one(tmp_path: Path, small_files: None) -> None:
    path = tmp_path / "poses3d" / "baseline.nc"
    sequence(4).save(path)
    before = path.read_bytes()
    with pytest.raises(DiskError, match=r"baseline.nc cannot be written: the file is larger") as caught:
        sequence(4000).save(path)
    assert caught.value.hint
    with pytest.raises(DiskError, match="text cannot be written"):
        write_text(tmp_path / "text", "x" * 100_000)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["baseline.nc"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs permissions, which root ignores")
def test_a_folder_without_permission_is_a_sentence(tmp_path: Path) -> None:
    Session.create(tmp_path / "session")
    (tmp_path / "session" / "runs").chmod(0o555)
    with pytest.raises(DiskError, match="permission is denied"):
        Session.open(tmp_path / "session").new_run("export")


def test_a_file_in_the_place_of_a_folder_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CoreError, match="cannot be written"):
        write_text(tmp_path / "file" / "below", "x")


def test_the_cause_is_found_behind_the_errors_of_libraries() -> None:
    def nested() -> BaseException:
        try:
            try:
                raise OSError(errno.ENOSPC, "No space left on device")
            except OSError:
                raise ValueError("Can't close the ZIP file") from None
        except ValueError as error:
            return error

    texts = (
        RuntimeError("Can't decrement id ref count (unable to close file, errno = 28, error message = 'No space')"),
        Exception("Error while serializing: I/O error: No space left on device (os error 28)"),
        nested(),
    )
    for error in texts:
        explained = disk_error(error, Path("file"))
        assert explained is not None and explained.message == "file cannot be written: the disk is full."
    for other in (ValueError("x"), FileNotFoundError(errno.ENOENT, "x"), KeyError("errno"), CoreError("a", "b")):
        assert disk_error(other) is None


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a file system that takes no files")
def test_a_folder_that_takes_no_files_is_named() -> None:
    with pytest.raises(DiskError, match="/proc/a cannot be written"), replacing(Path("/proc/a")):
        pass
