"""Documents from any source are bounded, and every failure names the document and the place in it."""

from __future__ import annotations

import codecs
import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.documents.hdf5 import open_hdf5
from core.documents.limits import read_bounded
from core.documents.pickles import read_pickle
from core.documents.syntax import parse_json, parse_toml, parse_xml, parse_yaml
from core.documents.tables import csv_rows
from core.documents.text import decode_text
from core.errors import CoreError

TEXT = '{"kamera": "Büro", "K": [1]}\n'


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
        TEXT.encode("utf-16-le"),
        TEXT.encode("utf-16-be"),
        TEXT.encode("utf-32"),
    ],
)
def test_text_with_and_without_a_byte_order_mark(data: bytes) -> None:
    assert decode_text(data, "a.json") == TEXT


def test_xml_in_its_declared_encoding() -> None:
    text = '<?xml version="1.0" encoding="{}"?><a name="Büro"/>'
    for encoding in ("ISO-8859-1", "windows-1252", "utf-8", "UTF-16"):
        content = decode_text(text.format(encoding).encode(encoding), "a.xml")
        assert parse_xml(content, "a.xml").get("name") == "Büro"


def test_bytes_that_are_no_text_are_refused_with_the_line() -> None:
    with pytest.raises(CoreError, match=r"a\.txt .*line 2"):
        decode_text(b"first\n\xe4\n", "a.txt")
    with pytest.raises(CoreError, match=r"a\.xml .*line 1"):
        decode_text(b'<?xml version="1.0" encoding="unicode_escape"?>\xe4', "a.xml")


MERGES = ["a0: &a0 {x: 1}"] + [f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}" for i in range(1, 60)]
DIGITS = "9" * 4000
BAD: dict[str, tuple[Any, str, str]] = {
    "json depth": (parse_json, "[" * 70 + "]" * 70, "nested"),
    "json great depth": (parse_json, "[" * 100_000 + "]" * 100_000, "nested"),
    "json digits": (parse_json, f'{{"K": [1, {DIGITS}]}}', r"K\[1\].* digits"),
    "json more digits": (parse_json, "9" * 5000, "4300 digits"),
    "json repeated key": (parse_json, '{"cam1": 1, "cam1": 2}', "cam1.*twice"),
    "json syntax": (parse_json, '{"a": 1,\n "b" 2}', "line 2"),
    "yaml depth": (parse_yaml, "[" * 20_000 + "]" * 20_000, "nested"),
    "yaml alias": (parse_yaml, "a: 1\nb: *a\n", "alias.*line 2"),
    "yaml merges": (parse_yaml, "\n".join(MERGES), "more than 100000 keys"),
    "yaml digits": (parse_yaml, f"K: {DIGITS}", "digits"),
    "yaml more digits": (parse_yaml, "9" * 5000, "4300 digits"),
    "yaml hexadecimal": (parse_yaml, "K: 0x" + "f" * 5000, "digits"),
    "yaml repeated key": (parse_yaml, "cam1: 1\ncam1: 2\n", "cam1.*twice.*line 1"),
    "yaml date": (parse_yaml, "a: 2024-13-45\n", "not valid YAML"),
    "yaml bool": (parse_yaml, "a: !!bool maybe\n", "not valid YAML"),
    "yaml int": (parse_yaml, "a: !!int ''\n", "not valid YAML"),
    "yaml time": (parse_yaml, "a: !!timestamp now\n", "not valid YAML"),
    "yaml key": (parse_yaml, "? [a]\n: 1\n", "not valid YAML"),
    "yaml python": (parse_yaml, "a: !!python/name:os.system\n", "not valid YAML"),
    "yaml syntax": (parse_yaml, "a: [1,\nb: {", "line"),
    "toml digits": (parse_toml, f"[cam]\nsize = [1, {DIGITS}]\n", r"cam\.size\[1\].*digits"),
    "toml more digits": (parse_toml, f"a = {'9' * 5000}", "4300 digits"),
    "toml depth": (parse_toml, f"a = {'[' * 90}{']' * 90}", "nested"),
    "toml great depth": (parse_toml, f"a = {'[' * 9000}{']' * 9000}", "nested"),
    "toml syntax": (parse_toml, "a = 1\nb = \n", "line 2"),
    "xml depth": (parse_xml, "<a>" * 90 + "</a>" * 90, "nested"),
    "xml great depth": (parse_xml, "<a>" * 100_000 + "</a>" * 100_000, "nested"),
    "xml entity": (parse_xml, '<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', "entities"),
    "xml syntax": (parse_xml, "<a>\n<b></a>", "line 2"),
}


@pytest.mark.parametrize("name", BAD)
def test_bounds_of_every_syntax(name: str) -> None:
    parse, text, message = BAD[name]
    with pytest.raises(CoreError, match=f"rig.file: .*{message}") as caught:
        parse(text, "rig.file")
    assert caught.value.hint


def test_aliases_share_but_do_not_explode() -> None:
    assert parse_yaml("a: &a [1]\nb: *a\nc: {<<: {d: 1}, d: 2}\n", "own")["b"] == [1]
    lines = ["a0: &a0 [1, 1]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 40)]
    with pytest.raises(CoreError, match="values"):
        parse_yaml("\n".join(lines), "own")
    with pytest.raises(CoreError, match="nested"):
        parse_yaml("&a [*a]", "own")


@given(st.text(alphabet="{}[]<>:,-&*!?|\"'\\\n #%@01.9eE_a/=", max_size=80))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_value_or_an_error(text: str) -> None:
    for parse in (parse_json, parse_yaml, parse_toml, parse_xml):
        try:
            parse(text, "rig.file")
        except CoreError as error:
            assert "rig.file" in error.message


def test_files_are_bounded_and_errors_name_them(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(11))
    with pytest.raises(CoreError, match=r"big: it is larger than 0 MB"):
        read_bounded(tmp_path / "big", 10)
    with pytest.raises(CoreError, match="could not be read"):
        read_bounded(tmp_path)
    with pytest.raises(CoreError, match=r"could not be read|does not exist"):
        read_bounded(tmp_path / "a\0b")


def test_tables(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes('name;x\n\nBüro;"1;5"\n'.encode("utf-16"))
    assert list(csv_rows(path)) == [(1, ["name", "x"]), (3, ["Büro", "1;5"])]
    path.write_text("a,b\n" + "x" * 200_000 + ",1\n")
    with pytest.raises(CoreError, match=r"a\.csv: line 2"):
        list(csv_rows(path))
    path.write_text("," * 200_000)
    with pytest.raises(CoreError, match="cells"):
        list(csv_rows(path))


def test_hdf5_gives_arrays_and_text_and_nothing_from_elsewhere(tmp_path: Path) -> None:
    path, other = tmp_path / "a.h5", tmp_path / "b.h5"
    with h5py.File(other, "w") as file:
        file["secret"] = np.arange(3)
    with h5py.File(path, "w") as file:
        file["tracks/xy"] = np.arange(6.0).reshape(2, 3)
        file["names"] = ["nose", "Büro"]
        file["fixed"] = np.array([b"a", b"bc"])
        file["table"] = np.zeros(3, [("index", "i8"), ("values", "f8", (4,))])
        file["tracks/xy"].attrs["unit"] = "px"
        file["linked"] = h5py.ExternalLink(str(other), "secret")
        file["soft"] = h5py.SoftLink("/tracks/xy")
        file.create_dataset("bomb", (1 << 20, 1 << 20), "f8", chunks=(1 << 10, 1 << 10), compression="gzip")
        file.create_dataset("outside", (3,), "f8", external=[("/etc/passwd", 0, 24)])
    with open_hdf5(path) as document:
        assert {"tracks/xy", "names", "fixed", "table"} < set(document.names)
        assert not {"linked", "soft"} & set(document.names)
        np.testing.assert_array_equal(document.array("tracks/xy"), np.arange(6.0).reshape(2, 3))
        assert document.array("table")["values"].shape == (3, 4)
        assert document.texts("names") == ["nose", "Büro"] and document.texts("fixed") == ["a", "bc"]
        assert document.text_attribute("tracks/xy", "unit") == "px"
        for name, message in (
            ("bomb", "more than there can be"),
            ("outside", "another file"),
            ("none", "no none"),
            ("names", "numbers"),
        ):
            with pytest.raises(CoreError, match=rf"a\.h5: .*{message}"):
                document.array(name)
        with pytest.raises(CoreError, match="list of names"):
            document.texts("tracks/xy")


def test_damaged_hdf5_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=np.arange(1000.0), chunks=(100,), compression="gzip")
        file["names"] = ["a", "b"]
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    for _ in range(200):
        data = bytearray(whole[: random.integers(len(whole)) if random.random() < 0.2 else None])
        for at in random.integers(len(data), size=6) if data else ():
            data[at] = random.integers(256)
        path.write_bytes(data)
        try:
            with open_hdf5(path) as document:
                for name in document.names:
                    try:
                        document.texts(name) if name == "names" else document.array(name)
                    except CoreError as error:
                        assert "a.h5" in error.message
        except CoreError as error:
            assert "a.h5" in error.message


def test_pickles_that_never_end_or_take_all_memory_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.pkl"
    programs = {
        "key": b"\x80\x02})q\x00" + b"h\x00\x86q\x00" * 60 + b"K\x01s.",  # 2**60 parts, of which each has a hash
        "memo": b"\x80\x02r\xff\xff\xff\xff.",
        "stack": b"\x80\x020000.",
        "integer": pickle.dumps(1 << 4000),
        "text": pickle.dumps("a" * 1000, 2)[:-1] + b"q\x07(" + b"h\x07" * 3 + b"t.",
        "copies": b"\x80\x02c_codecs\nencode\nq\x00]q\x01X\xe8\x03\x00\x00" + b"a" * 1000
        + b"q\x02X\x06\x00\x00\x00latin1q\x03\x86q\x04" + b"h\x00h\x04R" * 3000 + b".",
        "deep": b"]" * 100 + b"a" * 99 + b".",
        "long text": b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.",
    }  # fmt: skip
    for name, program in programs.items():
        path.write_bytes(program)
        if name == "text":
            assert len(read_pickle(path)) == 3
            continue
        with pytest.raises(CoreError, match=r"a key is a tuple" if name == "key" else r"p\.pkl.*byte"):
            read_pickle(path)


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_any_damaged_pickle_is_a_value_or_an_error(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.pkl"
    whole = pickle.dumps({"a": [np.arange(6.0).reshape(2, 3), np.float32(1)], "b": ("text", b"bytes")})
    content = bytearray(whole)
    for at, byte in data.draw(st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), max_size=4)):
        content[at] = byte
    path.write_bytes(content)
    try:
        read_pickle(path)
    except CoreError as error:
        assert "damaged.pkl" in error.message


def test_hdf5_texts_cannot_claim_gigabytes(tmp_path: Path) -> None:
    path = tmp_path / "names.h5"
    with h5py.File(path, "w") as file:
        names = file.create_dataset("names", data=["nose", "hip"])
        offset = names.id.get_offset()
    data = bytearray(path.read_bytes())
    data[offset : offset + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(bytes(data))
    with open_hdf5(path) as document, pytest.raises(CoreError, match="claims texts of 4,294,967,295 bytes"):
        document.texts("names")


@pytest.mark.parametrize("place", [8, 16 + 8], ids=["of the heap", "of an object"])
def test_a_damaged_heap_of_texts_is_refused_and_not_searched_for_ever(tmp_path: Path, place: int) -> None:
    path = tmp_path / "names.h5"
    with h5py.File(path, "w") as file:
        file["names"] = np.array(["nose", "neck"], dtype=h5py.string_dtype())
    with open_hdf5(path) as document:
        assert document.texts("names") == ["nose", "neck"]
    content = bytearray(path.read_bytes())
    at = content.index(b"GCOL") + place
    content[at : at + 8] = bytes(8)
    path.write_bytes(content)
    with open_hdf5(path) as document, pytest.raises(CoreError, match="heap"):
        document.texts("names")
