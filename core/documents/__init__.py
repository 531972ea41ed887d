"""Bounded parsing of documents from any source: text, JSON, YAML, TOML, XML, CSV, HDF5 and pickles.

Size, depth, digits, aliases and types are limited, nothing in a document is executed, and every failure is a
`CoreError` that names the document and the place in it. With a path, use `core.files` for text, JSON and YAML.
"""
