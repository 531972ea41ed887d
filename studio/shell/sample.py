"""The embedded sample as the window opens it."""

from __future__ import annotations

from pathlib import Path

import platformdirs

from core import NAME
from core.session import Session


def sample_folder() -> Path:
    """Where the sample's session lies; made once, results in it are kept."""
    return platformdirs.user_data_path(NAME, appauthor=False) / "sample"


def open_sample() -> Session:
    """The sample's session, made from the embedded files if it is not there yet (they are 3 MB).

    Raises:
        CoreError: The folder cannot be written, or holds something else.
    """
    from core.pipelines.demo import create_demo  # reading videos is not needed for the window to open

    return create_demo(sample_folder())
