"""Body models in the View page: state of the bodies, the step that fits them, consent to the terms of a new one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from core.body.models import registry
from core.session import Session
from core.types import Pose3DSequence
from core.types.body import BodySequence
from studio.pages.view.body_models.dialog import BodyModelsDialog, TermsDialog
from studio.pages.view.page import ViewPage
from studio.state.steps import results_state
from studio.widgets.finding_row import FindingRow
from tests.synthetic_smpl import model_arrays, write_npz

Open = Callable[[Session], ViewPage]


@pytest.mark.slow
def test_bodies_are_fitted_by_a_click_and_go_out_of_date(
    open_view: Open, numbered_session: Session, qtbot: QtBot
) -> None:
    page = open_view(numbered_session)
    card, state = page.side.bodies, page._state
    assert (card.dot.state, card.status.text(), card.fit.isEnabled()) == ("ready", "Not fitted yet.", True)
    qtbot.mouseClick(card.fit, Qt.MouseButton.LeftButton)
    assert (card.dot.state, card.fit.isEnabled()) == ("running", False)
    qtbot.waitUntil(lambda: not state.jobs.active and card.dot.state == "done", timeout=60_000)
    assert card.status.text() == "Fitted with Free body." and card.fit.text() == "Fit again"
    assert state.poses_name == "baseline-body", "the new result is shown"
    assert page.presenter.motion is not None, "with its bodies"
    layout = numbered_session.take("walk").layout
    poses = Pose3DSequence.load(layout.poses3d("baseline"))
    replace(poses, provenance={"made": "later"}).save(layout.poses3d("baseline"))
    state.refresh()
    assert card.dot.state == "outdated" and "have changed since bodies were fitted" in card.status.text()
    assert results_state(state).state == "outdated"
    bodies = BodySequence.load(layout.bodies("baseline"))
    other = {**bodies.provenance, "body": {"model": "anna"}}
    replace(bodies, model="anna", provenance=other).save(layout.bodies("baseline"))
    state.refresh()
    assert card.dot.state == "outdated" and "“anna”, which is not on this computer" in card.status.text()
    layout.poses3d("baseline").unlink()
    layout.poses3d("baseline-body").unlink()
    state.refresh()
    assert (card.dot.state, card.fit.isEnabled()) == ("blocked", False)
    assert card.fit.toolTip() == "Triangulate or infer 3D poses first."


@pytest.mark.slow
def test_a_model_is_added_after_consent(
    open_view: Open, numbered_session: Session, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "bodies_folder", lambda: tmp_path / "bodies")
    page = open_view(numbered_session)
    card = page.side.bodies
    qtbot.mouseClick(card.models, Qt.MouseButton.LeftButton)
    dialog = page.window().findChild(BodyModelsDialog)
    assert dialog is not None and dialog.isVisible()

    def messages() -> list[str]:
        return [row.sentence.text() for row in dialog.findChildren(FindingRow) if row.isVisible()]

    (tmp_path / "notes.pkl").write_text("no model")
    dialog.add_file(tmp_path / "notes.pkl")
    qtbot.waitUntil(lambda: any("notes.pkl cannot be read" in text for text in messages()), timeout=20_000)
    dialog.add_file(write_npz(tmp_path / "SMPL_FEMALE.npz", model_arrays("smpl")))
    qtbot.waitUntil(lambda: dialog.findChild(TermsDialog) is not None, timeout=20_000)
    terms = dialog.findChild(TermsDialog)
    assert any("Non-commercial" in row.sentence.text() for row in terms.findChildren(FindingRow))
    assert not terms.go.isEnabled(), "not before consent"
    terms.agree.click()
    assert terms.go.isEnabled()
    terms.name.setText("Anna")
    qtbot.mouseClick(terms.go, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "Anna (SMPL, female) was added." in messages(), timeout=20_000)
    assert [card.name for card in registry.body_models()] == ["free", "Anna"]
    assert (card.model.currentText(), card.model.currentData()) == ("Anna (SMPL, female)", "Anna")
    remove = next(push for push in dialog.findChildren(type(dialog.add)) if push.accessibleName().startswith("Remove"))
    qtbot.mouseClick(remove, Qt.MouseButton.LeftButton)
    assert [card.name for card in registry.body_models()] == ["free"] and card.model.currentData() == "free"
    dialog.accept()
