"""Settings survive their file, and invalid ones are refused with a suggestion."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from core.config import from_mapping, load, to_mapping, with_overrides
from core.errors import CoreError
from core.files import write_yaml
from core.pipelines.verbs import VERBS


@dataclass(frozen=True, kw_only=True)
class Inner:
    steps: int = 10
    rate: float = 0.5
    on: bool = False


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str
    kind: Literal["a", "b"] = "a"
    sizes: tuple[int, ...] = ()
    pair: tuple[float, float] = (0.0, 1.0)
    folder: Path | None = None
    inner: Inner = field(default_factory=Inner)


@pytest.mark.slow
@given(
    st.builds(
        Outer,
        name=st.text(max_size=20),
        kind=st.sampled_from(["a", "b"]),
        sizes=st.lists(st.integers(-(2**40), 2**40)).map(tuple),
        pair=st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)),
        folder=st.none() | st.just(Path("some/folder")),
        inner=st.builds(Inner, steps=st.integers(0, 99), rate=st.floats(0, 1), on=st.booleans()),
    )
)
def test_settings_survive_conversion_to_plain_values(config: Outer) -> None:
    assert from_mapping(Outer, to_mapping(config)) == config


def test_file_and_overrides(tmp_path: Path) -> None:
    write_yaml(tmp_path / "c.yaml", {"name": "x", "inner": {"steps": 3}})
    config = load(Outer, tmp_path / "c.yaml", ["inner.rate=0.25", "sizes=[1, 2]", "kind=b", "inner.on=true"])
    assert config == Outer(name="x", kind="b", sizes=(1, 2), inner=Inner(steps=3, rate=0.25, on=True))


@pytest.mark.parametrize(
    ("values", "message", "hint"),
    [
        ({"name": "x", "inner": {"stpes": 3}}, "inner.stpes", "steps"),
        ({}, "'name' is missing", "value"),
        ({"name": 5}, "'name' should be str", "Correct"),
        ({"name": "x", "inner": {"steps": True}}, "inner.steps", "Correct"),
        ({"name": "x", "inner": {"steps": 1.5}}, "inner.steps", "Correct"),
        ({"name": "x", "kind": "c"}, "'kind' cannot be 'c'", "a"),
        ({"name": "x", "pair": [1]}, "a list of 2", "Correct"),
        ({"name": "x", "sizes": "12"}, "'sizes' should be a list", "Correct"),
        ({"name": "x", "inner": 3}, "mapping", "name: value"),
        ({"name": "x", "inner": {"rate": float("nan")}}, "'inner.rate' should be a finite number", "Correct"),
    ],
)
def test_invalid_settings_are_refused(values: dict, message: str, hint: str) -> None:
    with pytest.raises(CoreError) as caught:
        from_mapping(Outer, values)
    assert message in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("override", "hint"), [("inner.steps", "name=value"), ("iner.steps=1", "inner"), ("inner.step=1", "steps")]
)
def test_invalid_overrides_are_refused(override: str, hint: str) -> None:
    with pytest.raises(CoreError) as caught:
        with_overrides(Outer(name="x"), [override])
    assert hint in caught.value.hint


def test_an_empty_override_is_an_empty_string() -> None:
    assert with_overrides(Outer(name="x"), ["name="]).name == ""
    with pytest.raises(CoreError, match=r"inner\.steps"):
        with_overrides(Outer(name="x"), ["inner.steps="])


def test_an_integer_is_a_float_too() -> None:
    assert from_mapping(Inner, {"rate": 1}).rate == 1.0


@pytest.mark.parametrize("name", VERBS)
def test_the_settings_of_every_verb_survive_a_job_file(name: str) -> None:
    params = VERBS[name].params
    required = {
        "videos": ["a.mp4"],
        "path": "rig.toml",
        "folder": "160906_pizza1",
        "take": "walk",
        "takes": ["walk"],
        "cameras": ["left=demo:cam01"],
    }
    fields = params.__dataclass_fields__
    config = from_mapping(params, {k: v for k, v in required.items() if k in fields})
    assert from_mapping(params, to_mapping(config)) == config


def test_exponents_without_a_decimal_point_are_numbers() -> None:
    """YAML 1.1, which PyYAML reads, takes 1e-4 for a word."""
    read = yaml.safe_load("rate: 1e-4")
    assert read == {"rate": "1e-4"}
    assert from_mapping(Inner, read).rate == 1e-4
    for wrong in ("1e", "e-4", "1e-4 ", "nan", "0x1"):
        with pytest.raises(CoreError, match="should be float"):
            from_mapping(Inner, {"rate": wrong})
