"""Reading of OpenCV FileStorage files (YAML, JSON or XML) with safe parsers."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from core.files import read_text
from core.rig_io.importers.raw import invalid_file, numbers, safe_xml
from core.types.arrays import F64

Table = dict[str, Any]


class _Loader(yaml.SafeLoader):
    """Safe YAML loader with OpenCV matrices and without aliases, which can expand without limit."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it uses aliases, which are not allowed in a rig file")
        return super().compose_node(parent, index)


def _plain_matrix(loader: _Loader, node: yaml.Node) -> Any:
    if not isinstance(node, yaml.MappingNode):
        raise yaml.YAMLError("an OpenCV matrix is not a mapping")
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor("tag:yaml.org,2002:opencv-matrix", _plain_matrix)


def read_document(path: Path) -> Table:
    """Return the top-level names and values of a file; matrices are mappings with rows, cols and data.

    Raises:
        CoreError: An invalid file, or one with aliases or entities.
    """
    if path.suffix.lower() == ".xml":
        return {child.tag: _from_xml(child) for child in safe_xml(path)}
    content = read_text(path)
    try:
        if path.suffix.lower() == ".json":
            found = json.loads(content)
        else:
            # FileStorage begins with "%YAML:1.0", which is not a YAML directive.
            found = yaml.load(re.sub(r"\A\s*%YAML[^\n]*\n(---)?", "", content), _Loader)
    except (yaml.YAMLError, json.JSONDecodeError, ValueError) as error:
        raise invalid_file(path, f"it is not valid ({error})") from error
    if isinstance(found, list):
        found = {"cameras": found}
    if not isinstance(found, dict):
        raise invalid_file(path, "it is not a mapping of names to values")
    return {str(key): value for key, value in found.items()}


def _from_xml(node: ElementTree.Element) -> Any:
    if len(node):
        return {child.tag: _from_xml(child) for child in node}
    words = (node.text or "").split()
    try:
        return [float(word) for word in words] if words else ""
    except ValueError:
        return " ".join(words)


def values(value: Any, path: Path, what: str) -> F64:
    """Return the numbers of a plain list or of an OpenCV matrix with rows, cols and data."""
    return numbers(value["data"] if isinstance(value, Mapping) and "data" in value else value, path, what)
