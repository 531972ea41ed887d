"""Reading of documents with named values: OpenCV's FileStorage (YAML, JSON or XML), and TOML."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.documents.syntax import parse_json, parse_toml, parse_yaml
from core.files import read_text
from core.rig_io.raw import MAX_RIG_BYTES, invalid_file, numbers, safe_xml
from core.types.arrays import F64

Table = dict[str, Any]


def read_document(path: Path) -> Table:
    """Return the top-level names and values of a file; matrices are mappings with rows, cols and data.

    Raises:
        CoreError: An invalid file, or one with aliases or entities.
    """
    if path.suffix.lower() == ".xml":
        children = list(safe_xml(path))
        if len({child.tag for child in children}) < len(children):
            raise invalid_file(path, "it has an element twice")
        return {child.tag: _from_xml(child) for child in children}
    content = read_text(path, MAX_RIG_BYTES)
    parse = {".json": parse_json, ".toml": parse_toml}.get(path.suffix.lower(), parse_yaml)
    found = parse(content, path.name)
    if isinstance(found, list):
        found = {"cameras": found}
    if not isinstance(found, dict):
        raise invalid_file(path, "it is not a mapping of names to values")
    return {str(key): value for key, value in found.items()}


def _from_xml(node: ElementTree.Element) -> Any:
    if len(node):
        tags = {child.tag for child in node}
        if len(tags) < len(node) or tags == {"_"}:
            return [_from_xml(child) for child in node]
        return {child.tag: _from_xml(child) for child in node}
    words = (node.text or "").split()
    try:
        return [float(word) for word in words] if words else ""
    except ValueError:
        return " ".join(words)


def values(value: Any, path: Path, what: str) -> F64:
    """Return the numbers of a plain list or of an OpenCV matrix with rows, cols and data."""
    return numbers(value["data"] if isinstance(value, Mapping) and "data" in value else value, path, what)
