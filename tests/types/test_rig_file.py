"""A damaged `rig.toml` is refused with a reason that names the file; it is never another error."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import CoreError
from core.synthetic.rigs import ring_rig
from core.types import CameraRig

EDITS = {
    "size of words": ("size = [\n    1280,", 'size = [\n    "a",'),
    "size without end": ("size = [\n    1280,", "size = [\n    inf,"),
    "size of nothing": ("size = [\n    1280,", "size = [\n    nan,"),
    "size of zero": ("size = [\n    1280,", "size = [\n    0,"),
    "huge size": ("size = [\n    1280,", "size = [\n    1e12,"),
    "many digits": ("size = [\n    1280,", f"size = [\n    {'9' * 4299},"),
    "more digits": ("size = [\n    1280,", f"size = [\n    {'9' * 5000},"),
    "lens of words": ("fisheye = false", 'fisheye = "no"'),
    "time of words": ("time_offset_s = 0.0", 'time_offset_s = "soon"'),
    "endless time": ("time_offset_s = 0.0", "time_offset_s = inf"),
    "time table": ("time_offset_s = 0.0", "time_offset_s = {a = 1}"),
    "no unit": ('units = "mm"', "units = [1]"),
    "another unit": ('units = "mm"', 'units = "ft"'),
    "schema of words": ("schema = 1", 'schema = "one"'),
    "newer schema": ("schema = 1", "schema = 7"),
    "metadata list": ("[metadata]", "metadata = [1]\n[meta]"),
    "no position": ("translation =", "translations ="),
    "huge position": ("translation = [", "translation = [\n    1e300,"),
    "empty name": ('name = "cam01"', 'name = ""'),
    "same name": ('name = "cam02"', 'name = "cam01"'),
    "nested": ("distortions = [", f"distortions = {'[' * 80}"),
}


@pytest.mark.parametrize("name", EDITS)
def test_every_damage_is_named(name: str, tmp_path: Path) -> None:
    path = tmp_path / "rig.toml"
    ring_rig(3, size_px=(1280, 720)).save(path)
    old, new = EDITS[name]
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(CoreError, match=r"rig\.toml") as caught:
        CameraRig.load(path)
    assert caught.value.hint


@settings(max_examples=300)
@given(
    edits=st.lists(
        st.tuples(
            st.integers(0, 1 << 16), st.integers(0, 40), st.sampled_from(list("[]{}\"'=.,#\n-") + ["inf", "9" * 400])
        ),
        min_size=1,
        max_size=3,
    )
)
def test_any_edit_is_a_rig_or_a_reason(
    edits: list[tuple[int, int, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "edited_rig.toml"
    text = ring_rig(3).to_toml()
    for at, cut, word in edits:
        at %= len(text) + 1
        text = text[:at] + word + text[at + cut :]
    path.write_text(text)
    try:
        rig = CameraRig.load(path)
    except CoreError as error:
        assert "edited_rig.toml" in error.message
    else:
        assert all(min(c.size_px) > 0 and c.K[0, 0] > 0 for c in rig)
