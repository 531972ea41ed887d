"""Files are written completely or not at all, and errors are reported with a reason."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.disk import replacing
from core.errors import CancelledError, CoreError
from core.files import (
    read_json,
    read_text,
    read_yaml,
    resource,
    safe_name,
    sha256,
    write_json,
    write_text,
    write_yaml,
)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file.txt"
    write_text(path, "old")
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_plain_values_survive_their_file(tmp_path: Path) -> None:
    value = {"b": [1, 2.5, None, "ä"], "a": {"x": True}}
    write_json(tmp_path / "v.json", value)
    write_yaml(tmp_path / "v.yaml", value)
    assert read_json(tmp_path / "v.json") == value
    assert read_yaml(tmp_path / "v.yaml") == value
    assert list(read_yaml(tmp_path / "v.yaml")) == ["b", "a"], "keys keep their order"


def test_nan_is_refused_by_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "v.json", float("nan"))
    assert list(tmp_path.iterdir()) == []


def test_unreadable_files_are_refused_with_a_reason(tmp_path: Path) -> None:
    with pytest.raises(CoreError, match="does not exist"):
        read_text(tmp_path / "none")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CoreError, match="not a text file in UTF-8 or UTF-16"):
        read_text(tmp_path / "binary")
    with pytest.raises(CoreError, match="could not be read"):
        read_text(tmp_path)
    (tmp_path / "broken").write_text("{a: [")
    with pytest.raises(CoreError, match=r"not valid JSON.*line 1"):
        read_json(tmp_path / "broken")
    with pytest.raises(CoreError, match=r"not valid YAML.*line \d"):
        read_yaml(tmp_path / "broken")


def test_yaml_runs_no_code(tmp_path: Path) -> None:
    (tmp_path / "evil.yaml").write_text(f"!!python/object/apply:os.mkdir ['{tmp_path}/made']")
    with pytest.raises(CoreError):
        read_yaml(tmp_path / "evil.yaml")
    assert not (tmp_path / "made").exists()


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    assert sha256(tmp_path / "f") == hashlib.sha256(b"abc").hexdigest()


def test_resources_are_found() -> None:
    assert resource("sample", "Calib.qca.txt").is_file()
    assert resource("weights", "LICENSE").is_file(), "weights ship with their licence"


@given(st.text(max_size=200))
def test_safe_names_stay_in_their_folder(text: str) -> None:
    try:
        name = safe_name(text)
    except CoreError:
        return
    assert Path("folder", name).parent == Path("folder")
    assert name == safe_name(name) and 0 < len(name) <= 80
    assert not set(name) & set('/\\:*?"<>|\0') and not name.startswith(".")


@pytest.mark.parametrize("text", ["", "  ", "...", "../..", "con", "/"])
def test_names_without_valid_characters_are_refused(text: str) -> None:
    with pytest.raises(CoreError):
        safe_name(text)


def test_an_error_has_a_hint_and_cancelling_is_not_an_error() -> None:
    error = CoreError("It broke.", "Mend it.")
    assert str(error) == "It broke. Mend it."
    assert not issubclass(CancelledError, CoreError)
