"""Choice of the 2D poses that a verb uses."""

from __future__ import annotations

from collections.abc import Sequence

from core.errors import CoreError
from core.pose2d.cards import model_cards
from core.pose2d.config import DEFAULT_ESTIMATOR
from core.progress import Reporter
from core.session.store import Take


def choose_poses2d(takes: Sequence[Take], name: str, reporter: Reporter) -> str:
    """Return the name of the 2D poses of takes to use.

    Args:
        takes: At least one take.
        name: Name given by the user; empty for the only 2D poses that all takes have, or those of the default
            estimator if there are several.
        reporter: Receives a note about an automatic choice.

    Raises:
        CoreError: A take has no such 2D poses, or the choice is ambiguous.
    """
    shared = sorted(set.intersection(*(set(take.estimators()) for take in takes)))
    if name in shared:
        return name
    lacking = next((take for take in takes if name not in take.estimators()), takes[0])
    there = ", ".join(lacking.estimators())
    if name or not there:
        message = f"Take {lacking.name} has no complete 2D poses{f' of {name}' if name else ''}."
        remedy = f"Its 2D poses are those of {there}." if there else "Estimate or import 2D poses first."
        raise CoreError(message, remedy)
    if not shared:
        each = "; ".join(f"{take.name}: {', '.join(take.estimators())}" for take in takes)
        raise CoreError(
            f"The takes have no 2D poses of the same name ({each}).", "Use the same estimator or import name for all."
        )
    if len(shared) == 1:
        if shared[0] != DEFAULT_ESTIMATOR:
            reporter.note(f"The 2D poses of {shared[0]} are used.")
        return shared[0]
    if DEFAULT_ESTIMATOR not in shared:
        raise CoreError(
            f"Take {takes[0].name} has several 2D poses: {', '.join(shared)}.",
            f"Choose those to use, such as --estimator {shared[0]}.",
        )
    others = " and ".join(other for other in shared if other != DEFAULT_ESTIMATOR)
    reporter.note(f"The 2D poses of {DEFAULT_ESTIMATOR} are used; the take has those of {others}, too (--estimator).")
    return DEFAULT_ESTIMATOR


def imported_poses2d(take: Take) -> list[str]:
    """Return the names of the take's 2D poses that were not made by an estimator of this program."""
    return [name for name in take.estimators() if "request" not in take.poses2d_manifest(name)]


def poses2d_of_run(take: Take, name: str, estimator: str) -> str:
    """Return the name of the imported 2D poses for verb `run`; empty if they are to be estimated.

    Args:
        take: The take.
        name: Name given by the user; empty to use imported 2D poses if the take has no others.
        estimator: Estimator in the user's settings; an estimator other than the default is always run.

    Raises:
        CoreError: The take has no 2D poses of the given name, or several imported ones.
    """
    imported = imported_poses2d(take)
    if name:
        if name not in imported and name not in model_cards():
            known = ", ".join([*imported, *model_cards()])
            raise CoreError(f"Take {take.name} has no 2D poses named '{name}'.", f"Choose one of {known}.")
        return name if name in imported else ""
    if estimator != DEFAULT_ESTIMATOR or not imported or set(take.estimators()) != set(imported):
        return ""
    if len(imported) > 1:
        raise CoreError(
            f"Take {take.name} has several imported 2D poses: {', '.join(imported)}.",
            f"Choose those to use, such as --estimator {imported[0]}.",
        )
    return imported[0]
