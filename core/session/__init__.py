"""Sessions on disk: takes, videos, timelines, runs and their paths."""

from core.session.layout import RunLayout, SessionLayout, TakeLayout
from core.session.store import BASELINE, Session, Take, TakeCamera, TakeManifest
from core.session.timeline import Timeline

__all__ = [
    "BASELINE",
    "RunLayout",
    "Session",
    "SessionLayout",
    "Take",
    "TakeCamera",
    "TakeLayout",
    "TakeManifest",
    "Timeline",
]
