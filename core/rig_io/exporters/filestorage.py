"""Text in the form of OpenCV's FileStorage, with every digit of a double."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

_INDENT = "   "


def yaml_text(document: Mapping[str, Any]) -> str:
    """Return FileStorage YAML of numbers, strings, matrices, lists of strings and lists of such mappings."""
    return "\n".join(["%YAML:1.0", "---", *_mapping(document, "")]) + "\n"


def json_text(document: Mapping[str, Any]) -> str:
    """Return FileStorage JSON of the same values."""
    return json.dumps(_plain(document), indent=2, allow_nan=False) + "\n"


def _mapping(values: Mapping[str, Any], indent: str) -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, np.ndarray):
            rows, cols = value.shape
            data = ", ".join(_number(number) for number in value.ravel().tolist())
            yield f"{indent}{name}: !!opencv-matrix"
            yield from (f"{indent}{_INDENT}{line}" for line in (f"rows: {rows}", f"cols: {cols}", "dt: d"))
            yield f"{indent}{_INDENT}data: [ {data} ]"
        elif isinstance(value, list):
            yield f"{indent}{name}:" if value else f"{indent}{name}: []"
            for item in value:
                if isinstance(item, Mapping):
                    yield f"{indent}{_INDENT}-"
                    yield from _mapping(item, indent + _INDENT * 2)
                else:
                    yield f"{indent}{_INDENT}- {_scalar(item)}"
        else:
            yield f"{indent}{name}: {_scalar(value)}"


def _scalar(value: str | float) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return str(value) if isinstance(value, int) else _number(value)


def _number(value: float) -> str:
    """Return a number with a decimal point: YAML 1.1 reads 1e-05 as a string."""
    digits = repr(float(value))
    return digits if "." in digits else digits.replace("e", ".0e")


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        rows, cols = value.shape
        return {"type_id": "opencv-matrix", "rows": rows, "cols": cols, "dt": "d", "data": value.ravel().tolist()}
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
