"""Test that a file is parsed once, and again when it has changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import CoreError
from core.files import read_once, read_yaml, write_yaml


def test_a_file_is_parsed_again_when_it_has_changed(tmp_path: Path) -> None:
    path, parsed = tmp_path / "values.yaml", []

    def parse(one: Path) -> str:
        parsed.append(one)
        return one.read_text()

    path.write_text("a: 1\n")
    assert read_once(path, parse) == read_once(path, parse) == "a: 1\n"
    assert len(parsed) == 1
    assert read_yaml(path) == {"a": 1}
    read_yaml(path)["a"] = 5  # belongs to the caller
    assert read_yaml(path) == {"a": 1}
    write_yaml(path, {"a": 2})  # of the same size
    assert read_yaml(path) == {"a": 2}
    assert read_once(path, parse) == "a: 2\n"
    path.unlink()
    with pytest.raises(CoreError, match="does not exist"):
        read_yaml(path)
