"""Offer to repair a rig that does not fit the people in a take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from PySide6.QtWidgets import QWidget

from core.calibration.checks import PEOPLE_FIT
from core.errors import CoreError
from core.files import read_json
from core.pipelines.params import CalibratePeopleParams, CertifyParams
from core.session import Session
from studio.shell.replace_dialog import ask_to_replace
from studio.shell.starting import start_job
from studio.state.app_state import AppState


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairOffer:
    """Offered repair.

    Attributes:
        verb: "certify" or "calibrate-people".
        take: The take.
        estimator: Name of the 2D poses.
        title: Text of the button.
        message: Sentence on the cameras that do not fit.
        tip: Tooltip of the button with the verb and the expected gain.
    """

    verb: str
    take: str
    estimator: str
    title: str
    message: str
    tip: str


def load_offer(session: Session) -> RepairOffer | None:
    """Return the repair for the last triangulated take; None if people and cameras fit."""
    path = session.layout.rig_report
    try:
        fit: Any = read_json(path).get(PEOPLE_FIT) if path.exists() else None
    except (CoreError, AttributeError):
        return None  # reported by the banner
    if not isinstance(fit, Mapping) or fit.get("take") not in session.take_names():
        return None
    titles = {"certify": "Synchronise cameras", "calibrate-people": "Repair cameras"}
    verb = str(fit.get("action"))
    if verb not in titles:
        return None
    return RepairOffer(
        verb=verb,
        take=str(fit["take"]),
        estimator=str(fit.get("estimator", "")),
        title=titles[verb],
        message=str(fit.get("message", "")),
        tip=str(fit.get("remedy", "")),
    )


def start_repair(state: AppState, offer: RepairOffer, parent: QWidget | None) -> None:
    """Start an offered repair; ask first if it replaces the calibration."""
    session = state.session
    if session is None:
        return

    if offer.verb == "certify":
        settings = CertifyParams(take=offer.take, estimator=offer.estimator)
        start_job(state, session, offer.verb, settings, f"{offer.title} of {offer.take}", parent)
        return
    params = CalibratePeopleParams(take=offer.take, estimator=offer.estimator, mode="repair")
    title = f"{offer.title} from people in {offer.take}"
    ask_to_replace(session, "Go on", parent, partial(start_job, state, session, offer.verb, params, title, parent))
