"""Errors whose message is shown to the user."""

from __future__ import annotations


class CoreError(Exception):
    """An expected failure, with a remedy.

    Args:
        message: Sentence on the failure that names the file, field or value, and what was expected and found.
        hint: Sentence on the remedy; never empty.
    """

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}"


class CancelledError(Exception):
    """The user cancelled a running job; not a failure."""
