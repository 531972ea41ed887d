"""Arrays of npz archives are read, and nothing in them is unpickled or larger than it says."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.documents.arrays import read_npz
from core.errors import CoreError


class Calls:
    """An object whose pickle makes a folder."""

    def __reduce__(self) -> Any:
        import os

        return os.mkdir, ("was_here",)


def npy(array: np.ndarray, **keywords: Any) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, **keywords)
    return stream.getvalue()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_named_arrays_are_read(save: Any, tmp_path: Path) -> None:
    values = {
        "a": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "b": np.arange(3, dtype=">u2"),
        "c": np.zeros((0, 3)),
    }
    save(tmp_path / "m.npz", other=np.array({"x": 1}, dtype=object), **values)
    found = read_npz(tmp_path / "m.npz", ("a", "b", "c", "missing"))
    assert set(found) == set(values)
    for name, value in values.items():
        np.testing.assert_array_equal(found[name], value)


def test_what_np_load_would_run_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "m.npz", a=np.array([Calls()], dtype=object))
    with pytest.raises(CoreError, match=r"m\.npz: a: it holds object instead of numbers, which are never loaded"):
        read_npz(tmp_path / "m.npz", ("a",))
    assert not (tmp_path / "was_here").exists()
    np.load(tmp_path / "m.npz", allow_pickle=True)["a"]
    assert (tmp_path / "was_here").exists(), "the guard is necessary"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (npy(np.zeros(1 << 18)), "more values than a file of its kind"),  # 2 MB in 2 kB
        (npy(np.zeros(4))[:-8], "does not have the bytes"),
        (npy(np.zeros(4)).replace(b"(4,)", b"(9,)"), "does not have the bytes"),
        (npy(np.zeros(4)).replace(b"'<f8'", b"'|O' "), "holds object"),
        (npy(np.array(["text"])), "instead of numbers"),
        (b"garbage", "cannot be read"),
        (b"", "cannot be read"),
    ],
)
def test_arrays_that_lie_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", content)
    with pytest.raises(CoreError, match=message) as error:
        read_npz(tmp_path / "m.npz", ("a",), max_bytes=1 << 20)
    assert error.value.message.startswith("m.npz")


def test_broken_archives_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", a=np.arange(1000.0))
    whole = (tmp_path / "m.npz").read_bytes()
    (tmp_path / "half.npz").write_bytes(whole[: len(whole) // 2])
    flipped = bytearray(whole)
    flipped[400] ^= 255
    (tmp_path / "flipped.npz").write_bytes(flipped)
    for name in ("half.npz", "flipped.npz", "missing.npz"):
        with pytest.raises(CoreError, match=rf"{name}: it cannot be read"):
            read_npz(tmp_path / name, ("a",))
    with zipfile.ZipFile(tmp_path / "twice.npz", "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        for _ in range(2):
            archive.writestr("a.npy", npy(np.zeros(2)))
    with pytest.raises(CoreError, match="repeats an array"):
        read_npz(tmp_path / "twice.npz", ("a",))
