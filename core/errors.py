"""Errors that a person is meant to read."""

from __future__ import annotations


class CoreError(Exception):
    """An expected failure: what went wrong, and what to do about it.

    Args:
        message: What went wrong, naming the file, field or value; expected and found where it applies.
        hint: What the person can do about it. Never empty: an error without a remedy is not finished.
    """

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}"


class CancelledError(Exception):
    """The person asked a long piece of work to stop. Not a failure: nothing is reported as broken."""
