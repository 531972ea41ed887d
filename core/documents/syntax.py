"""Parsers of JSON, YAML, TOML and XML with limits; repeated keys are refused, since one of the values would be lost."""

from __future__ import annotations

import json
import re
import tomllib
import xml.etree.ElementTree as ElementTree
from typing import TYPE_CHECKING, Any

import yaml

from core.documents.limits import MAX_DEPTH, REMEDY, bad_document, check_value

_MAX_MERGED = 100_000  # keys of a mapping in YAML
_NO_ENTITIES = "it declares XML entities, which are not allowed"


def parse_json(text: str, where: str, hint: str = REMEDY) -> Any:
    """Return the value of a JSON document; NaN and Infinity are accepted as numbers.

    Raises:
        CoreError: Invalid JSON, a repeated key, or a value out of bounds.
    """
    try:
        return check_value(json.loads(text, object_pairs_hook=_unique), where)
    except RecursionError as error:
        raise bad_document(where, f"it is nested more than {MAX_DEPTH} levels deep", hint) from error
    except ValueError as error:
        raise bad_document(where, f"it is not valid JSON: {error}", hint) from error


def parse_yaml(text: str, where: str, hint: str = REMEDY) -> Any:
    """Return the value of a YAML document of plain types; OpenCV's matrices are mappings with rows, cols and data.

    Raises:
        CoreError: Invalid YAML, a repeated key, or a value out of bounds; values repeated by aliases count each time.
    """
    try:
        # OpenCV's FileStorage begins with "%YAML:1.0", which is not a YAML directive.
        found = yaml.load(re.sub(r"\A\s*%YAML:[^\n]*\n", "", text), _Loader)
    except yaml.YAMLError as error:
        raise bad_document(where, f"it is not valid YAML: {_one_line(error)}", hint) from error
    except Exception as error:  # of the constructors of scalars: ValueError, KeyError, IndexError, AttributeError …
        raise bad_document(where, f"it is not valid YAML: {error or type(error).__name__}", hint) from error
    return check_value(found, where, repeats=True)


def parse_toml(text: str, where: str, hint: str = REMEDY) -> dict[str, Any]:
    """Return the tables of a TOML document.

    Raises:
        CoreError: Invalid TOML, or a value out of bounds.
    """
    try:
        found = tomllib.loads(text)
    except RecursionError as error:
        raise bad_document(where, f"it is nested more than {MAX_DEPTH} levels deep", hint) from error
    except ValueError as error:
        raise bad_document(where, f"it is not valid TOML: {error}", hint) from error
    check_value(found, where)
    return found


def parse_xml(text: str, where: str, hint: str = REMEDY) -> ElementTree.Element:
    """Return the root of an XML document.

    Entities are refused, as they can expand without limit or refer to other files.

    Raises:
        CoreError: Invalid XML, a declaration of entities, or elements nested too deeply.
    """
    if "<!DOCTYPE" in text.upper() or "<!ENTITY" in text.upper():
        raise bad_document(where, _NO_ENTITIES, hint)
    try:
        return ElementTree.fromstring(text, ElementTree.XMLParser(target=_Builder()))
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise bad_document(where, f"it is not valid XML: {error}", hint) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key '{repeated[:60]}' occurs twice in a mapping")
    return found


def _one_line(error: yaml.YAMLError) -> str:
    return re.sub(r"\s+", " ", str(error)).strip()


if TYPE_CHECKING or not yaml.__with_libyaml__:
    _SafeLoader = yaml.SafeLoader
else:
    from yaml.composer import Composer
    from yaml.constructor import SafeConstructor
    from yaml.cyaml import CParser
    from yaml.resolver import Resolver

    class _SafeLoader(Composer, CParser, SafeConstructor, Resolver):
        """PyYAML's safe loader with libyaml's scanner and parser, several times as fast."""

        def __init__(self, stream: str) -> None:
            for part in (CParser, Composer, SafeConstructor, Resolver):
                part.__init__(self, *([stream] if part is CParser else []))


class _Loader(_SafeLoader):
    """Safe YAML loader with OpenCV's matrices, limited depth and limited merges ("<<"), which can double each time."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise yaml.YAMLError(f"it is nested more than {MAX_DEPTH} levels deep")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def flatten_mapping(self, node: Any) -> None:
        super().flatten_mapping(node)
        if len(node.value) > _MAX_MERGED:
            raise yaml.YAMLError(f"a mapping has more than {_MAX_MERGED} keys{node.start_mark}")

    def compose_mapping_node(self, anchor: Any) -> Any:
        node = super().compose_mapping_node(anchor)
        keys = [(key.tag, key.value) for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(set(keys)) < len(keys):
            repeated = next(key for key in keys if keys.count(key) > 1)
            raise yaml.YAMLError(f"the key '{repeated[1][:60]}' occurs twice{node.start_mark}")
        return node


def _opencv_matrix(loader: _Loader, node: yaml.Node) -> Any:
    if not isinstance(node, yaml.MappingNode):
        raise yaml.YAMLError("an OpenCV matrix is not a mapping")
    return loader.construct_mapping(node, deep=True)


for _tag in ("opencv-matrix", "opencv-nd-matrix"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _opencv_matrix)


class _Builder(ElementTree.TreeBuilder):
    """Builder of elements of limited depth."""

    def __init__(self) -> None:
        super().__init__()
        self.depth = 0

    def start(self, tag: Any, attrs: Any) -> ElementTree.Element:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep")
        return super().start(tag, attrs)

    def end(self, tag: Any) -> ElementTree.Element:
        self.depth -= 1
        return super().end(tag)
