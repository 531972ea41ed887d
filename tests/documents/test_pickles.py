"""Numbers are read from pickles, and no code in them is executed."""

from __future__ import annotations

import os
import pickle
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.documents.pickles import PickledObject, parse_pickle, read_pickle
from core.errors import CoreError


class Calls:
    """An object whose pickle calls a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> Any:
        return self.function, self.arguments


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_numbers_of_every_kind(protocol: int, tmp_path: Path) -> None:
    value = {
        "0_300": [{"pred": np.random.default_rng(0).normal(size=(17, 3)).astype(np.float32), "score": 0.5}],
        "0_301": [],
        "big endian": np.arange(6, dtype=">i4").reshape(2, 3),
        "columns": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        "empty": np.zeros((0, 17, 3)),
        "scalar": np.float64(2.5),
        "flag": np.array([True, False]),
        "text": ("a", b"\xff", None, True, 3),
        "ordered": OrderedDict(a=1, b=np.int64(2)),
    }
    (tmp_path / "p.pkl").write_bytes(pickle.dumps(value, protocol))
    found = read_pickle(tmp_path / "p.pkl")
    assert set(found) == set(value)
    for key in ("big endian", "columns", "empty", "flag"):
        np.testing.assert_array_equal(found[key], value[key])
        assert found[key].shape == value[key].shape
    np.testing.assert_array_equal(found["0_300"][0]["pred"], value["0_300"][0]["pred"])
    assert found["0_300"][0]["pred"].dtype == np.float32
    assert found["0_300"][0]["score"] == 0.5 and found["0_301"] == [] and found["scalar"] == 2.5
    assert found["text"] == value["text"] and found["ordered"] == {"a": 1, "b": 2}


def test_arrays_of_python_2_are_read(tmp_path: Path) -> None:
    """Python 2 stored bytes as text: the content of the array is latin-1 text."""
    data = np.array([1.5, -2.0]).tobytes()
    text = b"U" + bytes([len(data)]) + data  # SHORT_BINSTRING
    program = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89" + text + b"tb."
    )
    (tmp_path / "p.pkl").write_bytes(program)
    np.testing.assert_array_equal(pickle.loads(program, encoding="latin1"), [1.5, -2.0])
    np.testing.assert_array_equal(read_pickle(tmp_path / "p.pkl"), [1.5, -2.0])


@pytest.mark.parametrize(
    "malicious",
    [
        Calls(os.system, "touch {}"),
        Calls(eval, "open({!r}, 'w')"),
        Calls(exec, "open({!r}, 'w')"),
        Calls(getattr, os, "system"),
        {"a": [{"pred": Calls(os.mkdir, "{}")}]},
        Calls(np.fromfile, "{}"),
        Calls(np.load, "{}"),
    ],
)
def test_a_malicious_pickle_is_refused_and_has_no_effect(malicious: Any, tmp_path: Path) -> None:
    target = tmp_path / "was_here"
    stack = [malicious]
    while stack:  # aim at a file of this test
        part = stack.pop()
        if isinstance(part, Calls):
            part.arguments = tuple(a.format(str(target)) if isinstance(a, str) else a for a in part.arguments)
        elif isinstance(part, dict | list):
            stack += part.values() if isinstance(part, dict) else part
    try:
        content = pickle.dumps(malicious)
    except TypeError:  # modules cannot be pickled by value: by name
        content = b"cbuiltins\ngetattr\n(cos\nsystem\nS'x'\ntR."
    (tmp_path / "p.pkl").write_bytes(content)
    with pytest.raises(CoreError, match=r"refers to|cannot be read") as error:
        read_pickle(tmp_path / "p.pkl")
    assert "published" in error.value.hint
    assert not target.exists()


def test_the_malicious_pickle_works_with_the_standard_reader(tmp_path: Path) -> None:
    """The guard is necessary: pickle.load executes the code."""
    pickle.loads(pickle.dumps(Calls(os.mkdir, str(tmp_path / "was_here"))))
    assert (tmp_path / "was_here").is_dir()


@pytest.mark.parametrize(
    "program",
    [
        b"cnumpy\ndtype\n.",  # a bare name
        b"cnumpy.core.multiarray\n_reconstruct\n)R.",  # an array that never gets content
        b"cnumpy\ndtype\n(S'O8'\ntR.",  # arrays of objects
        b"cnumpy\ndtype\n(S'V1000000000000'\ntR.",
        b"cnumpy\nndarray\n)R.",
        b"c_codecs\nencode\n(S'a'\nS'zip'\ntR.",
        b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'f8'\ntRS'short'\ntR.",
        b"cnumpy\ndtype\n}S'_call'\nI1\nsb.",  # an attempt to change what a name means
        b"cnumpy\ndtype\nN}S'_call'\nI1\ns\x86b.",
        b"\x80\x02cnumpy\ndtype\n)\x81.",  # __new__
        b"cbuiltins\nbytes\n(I1000000000000\ntR.",  # memory without end
        b"Pname\n.",  # a persistent id
        b"\x80\x04\x8c\x05numpy\x8c\x0ddtype.__new__\x93.",  # a dotted name
        b"(lp0\ng0\na.",  # a list that holds itself
        b"garbage",
        b"",
    ],
)
def test_tricks_are_refused(program: bytes, tmp_path: Path) -> None:
    (tmp_path / "p.pkl").write_bytes(program)
    with pytest.raises(CoreError, match=r"p\.pkl"):
        read_pickle(tmp_path / "p.pkl")


def test_nested_lists_do_not_explode(tmp_path: Path) -> None:
    """A file of a few hundred bytes that refers to 2**60 elements is read at once, as by pickle.load."""
    value: list[Any] = []
    for _ in range(60):
        value = [value, value]
    (tmp_path / "p.pkl").write_bytes(pickle.dumps(value))
    found = read_pickle(tmp_path / "p.pkl")
    assert found[0] is found[1]


def test_a_shape_that_does_not_match_its_bytes_is_refused(tmp_path: Path) -> None:
    content = pickle.dumps(np.arange(4.0), 2)
    assert content.count(b"K\x04\x85") == 1
    (tmp_path / "p.pkl").write_bytes(content.replace(b"K\x04\x85", b"K\xff\x85"))
    with pytest.raises(CoreError, match="out of 32 bytes"):
        read_pickle(tmp_path / "p.pkl")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CoreError, match="cannot be read"):
        read_pickle(tmp_path / "p.pkl")


class Plain:
    """An object with attributes."""


ADMITTED = (f"{Plain.__module__}.Plain",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_objects_of_admitted_classes_are_read_as_their_attributes(
    protocol: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = Plain()
    value.__dict__.update(
        x=np.arange(3.0), names={"a"}, frozen=frozenset("b"), objects=np.array([{}], object), me=value
    )
    monkeypatch.setitem(sys.modules, Plain.__module__, sys.modules[__name__])
    content = pickle.dumps({"v": value}, protocol)
    found = parse_pickle(content, "p.pkl", ADMITTED)["v"]
    assert isinstance(found, PickledObject) and found.kind == ADMITTED[0]
    np.testing.assert_array_equal(found.attributes["x"], [0, 1, 2])
    assert (found.attributes["names"], found.attributes["frozen"]) == (["a"], ["b"])
    assert found.attributes["me"] is found and found.attributes["objects"] is None
    with pytest.raises(CoreError, match=r"refers to '.*Plain'"):
        parse_pickle(content, "p.pkl")


@pytest.mark.parametrize(
    "program",
    [
        b"cm\nC\n)R.",  # a call of an admitted class
        b"cm\nC\nI1\n\x85\x81.",  # a constructor with arguments
        b"ccopy_reg\n_reconstructor\n(cm\nC\nc__builtin__\nlist\n]tR.",
        b"ccopy_reg\n_reconstructor\n(c__builtin__\nobject\nc__builtin__\nobject\nNtR.",
        b"c__builtin__\nobject\n)R.",
        b"c__builtin__\nset\nI10\n\x85R.",
        b"cm\nC\n)\x81]I1\nab.",  # a state that is not a mapping
        b"cm\nC\n.",
        b"(" + b"]q\x00(" + b"h\x00" * 40 + b"e" + b"c__builtin__\nset\nh\x00\x85R" * 40 + b"t.",  # many copies
        b"]q\x00" + b"h\x00h\x00\x86q\x00" * 60 + b"h\x00\x93.",  # a name whose text has no end
    ],
)
def test_tricks_with_admitted_classes_are_refused(program: bytes) -> None:
    with pytest.raises(CoreError, match=r"p\.pkl"):
        parse_pickle(program, "p.pkl", ("m.C",))
