"""Errors with a message for the user."""

from __future__ import annotations


class CoreError(Exception):
    """Expected failure, with a remedy.

    Args:
        message: Sentence that states the failure with the file, field or value, and the expected and actual content.
        hint: Sentence with the remedy; never empty.
    """

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}"


class CancelledError(Exception):
    """Cancellation of a running job by the user; not a failure."""
