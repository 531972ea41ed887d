"""Update of outdated results."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from core.pipelines.params import UpdateParams
from studio.shell.starting import start_job
from studio.state.app_state import AppState

UPDATE_TIP = "Recompute 3D poses and metrics of this take with the current calibration and 2D poses"


def start_update(state: AppState, parent: QWidget | None) -> None:
    """Recompute the outdated results of the selected take as a job."""
    if state.take_name:
        title = f"Bring {state.take_name} up to date"
        start_job(state, state.session, "update", UpdateParams(takes=(state.take_name,)), title, parent)
