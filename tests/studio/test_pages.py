"""Tests of the pages: what they show of a session, and what their controls do."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

from core.body.models.free import free_body
from core.export import EXPORTERS, default_formats
from core.files import resource
from core.pipelines.params import ImportRigParams
from core.session import BASELINE, Session, Take
from core.session.inputs import bodies_provenance
from core.types.body import BodySequence
from core.types.pose3d import Pose3DSequence
from core.types.skeleton import COCO17
from studio.main_window import MainWindow
from studio.pages.calibrate import presenter as calibrate
from studio.pages.calibrate.import_dialog import ImportRigDialog
from studio.pages.export import presenter as export
from studio.pages.record import presenter as record
from studio.pages.record.import_dialog import ImportDialog
from studio.pages.registry import PAGES
from studio.state.app_state import AppState
from studio.state.steps import page_states
from studio.widgets.finding_row import FindingRow
from studio.widgets.images.image_tiles import ImageDialog

Ended = Callable[[AppState], None]


def _click(qtbot, widget) -> None:
    qtbot.mouseClick(widget, Qt.MouseButton.LeftButton)


def _stand(take: Take, run: str = BASELINE) -> None:
    """Store 3D poses of one person standing still."""
    T = take.manifest.n_frames
    xyz = np.tile(np.linspace(0, 1700, len(COCO17))[None, None, :, None] * [0.0, 0.0, 1.0], (T, 1, 1, 1))
    Pose3DSequence(
        skeleton=COCO17,
        time_s=take.timeline().time_s,
        xyz_mm=xyz,
        score=np.ones((T, 1, len(COCO17))),
        person_ids=(1,),
    ).save(take.layout.poses3d(run))


def _session(window: MainWindow) -> Session:
    assert window.state.session is not None
    return window.state.session


# ---- calibrate


@pytest.mark.slow
def test_rig_is_imported_through_the_dialog_and_shown(window: MainWindow, qtbot, tmp_path: Path, ended: Ended) -> None:
    window.create_session(tmp_path / "mine")
    page = window.pages["calibrate"]
    assert page.steps.current == "cameras" and not page.steps.is_available("check")
    assert page.banner.level == "info" and "No calibration yet" in page.banner.sentence.text()
    assert "Record the board" in page.solve_card.go.reason
    assert not page.export_button.isEnabled()
    dialog = page.ask_about(resource("sample", "Calib.qca.txt"))
    assert isinstance(dialog, ImportRigDialog)
    assert dialog.params == ImportRigParams(path=str(resource("sample", "Calib.qca.txt")))
    assert not dialog.folder.isVisible()
    _click(qtbot, dialog.go)
    ended(window.state)
    assert page.steps.current == "check" and page.check.findings_card.isVisible()
    assert page.banner.level in ("ok", "warning") and page.banner.isVisible()
    assert page.export_button.isEnabled()
    assert page.check.table.rowCount() == 4
    assert page.check.table.item(0, 0).text() == _session(window).require_rig().names[0]
    rows = page.check.findings_card.findChildren(FindingRow)
    assert len(rows) >= 4
    assert {row.level for row in rows} <= {"ok", "warning", "error"}
    qtbot.waitUntil(lambda: window.rail.buttons["calibrate"].step_state == "done")
    page.steps.show_panel("world")
    assert page.overlay.empty.isVisible()  # no take yet


@pytest.mark.slow
def test_images_load_with_the_floor_overlay_and_can_be_enlarged(opened: MainWindow, qtbot) -> None:
    opened.show_page("calibrate")
    world = opened.pages["calibrate"].world_card
    assert world.points.isEnabled() and not world.floor.isEnabled()  # floor points need no take of a board
    opened.pages["calibrate"].check.panels.show_panel("images")
    tiles = opened.pages["calibrate"].check.overlay.images.tiles
    assert [t.caption for t in tiles] == ["cam01", "cam02", "cam03", "cam04"]
    qtbot.waitUntil(lambda: all(t.loaded for t in tiles), timeout=20_000)
    for tile in tiles:
        floor, poles = tile.lines
        assert floor.paths_px
        assert poles.paths_px
    _click(qtbot, tiles[1])
    dialog = next(w for w in QApplication.topLevelWidgets() if isinstance(w, ImageDialog) and w.isVisible())
    assert dialog.image.caption == "cam02"
    qtbot.keyClick(dialog, Qt.Key.Key_Right)
    assert dialog.image.caption == "cam03"
    dialog.accept()


@pytest.mark.slow
def test_a_damaged_rig_is_reported_and_a_new_one_can_be_imported(opened: MainWindow) -> None:
    _session(opened).layout.rig.write_text("not = [toml", encoding="utf-8")
    opened.state.refresh()
    opened.show_page("calibrate")
    page = opened.pages["calibrate"]
    assert "cannot be read" in page.banner.sentence.text()
    assert page.import_button.isEnabled()


def test_a_folder_of_camera_files_can_be_imported_as_a_whole(dressed: QApplication, qtbot, tmp_path: Path) -> None:
    for name in ("a.yml", "b.yml"):
        (tmp_path / name).write_text("%YAML:1.0\n", encoding="utf-8")
    dialog = ImportRigDialog(tmp_path / "a.yml")
    qtbot.addWidget(dialog)
    dialog.show()
    assert dialog.folder.isVisible()
    dialog.folder.setChecked(True)
    dialog.units.setCurrentIndex(dialog.units.findData("m"))
    dialog.up.setCurrentIndex(dialog.up.findData("y"))
    assert dialog.params == ImportRigParams(path=str(tmp_path), units="m", up="y")
    dialog.pose_is.setCurrentIndex(dialog.pose_is.findData("camera_to_world"))
    dialog.rotation_is.setCurrentIndex(dialog.rotation_is.findData("degrees"))
    assert (dialog.params.pose_is, dialog.params.rotation_is) == ("camera_to_world", "degrees")


def test_camera_rows_use_common_units(sample_session: Session) -> None:
    rows = calibrate.camera_rows(sample_session.require_rig())
    assert all(len(row) == len(calibrate.CAMERA_HEADERS) for row in rows)
    assert rows[0][1] == "1088 × 1920"
    assert 1.0 < float(rows[0][5]) < 3.0  # metres above the floor


# ---- record


@pytest.mark.slow
def test_take_is_shown_as_it_was_recorded(opened: MainWindow, qtbot) -> None:
    opened.show_page("record")
    qtbot.waitUntil(lambda: len(opened.pages["record"].takes) == 1)
    (card,) = opened.pages["record"].takes
    assert "4 cameras · 100 frames · 60 fps · 1.7 s" in card.take.summary
    qtbot.waitUntil(card.selected.isVisible)
    assert [row[5] for row in card.take.rows] == ["none"] * 4


def test_dropped_images_are_counted(sample_session: Session) -> None:
    take = sample_session.take("two_people")
    lines = take.layout.timestamps.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not (line.startswith(("3,cam02,", "4,cam02,")))]
    take.layout.timestamps.write_text("\n".join(kept) + "\n", encoding="utf-8")
    (card,) = record.take_cards(sample_session)
    assert [row[5] for row in card.rows] == ["none", "2", "none", "none"]
    assert card.dropped == ((1, 5),)


@pytest.mark.slow
def test_a_damaged_take_is_reported_and_does_not_hide_the_others(opened: MainWindow, qtbot) -> None:
    opened.show_page("record")
    session = _session(opened)
    shutil.copytree(session.layout.take("two_people").root, session.layout.take("broken").root)
    session.layout.take("broken").manifest.write_text("name: 3", encoding="utf-8")
    opened.state.refresh()
    broken, good = record.take_cards(session)
    assert broken.error
    assert not good.error
    qtbot.waitUntil(lambda: len(opened.pages["record"].takes) == 2)


@pytest.mark.slow
def test_videos_are_imported_through_the_dialog(opened: MainWindow, qtbot, ended: Ended) -> None:
    opened.show_page("record")
    page = opened.pages["record"]
    videos = [resource("sample", f"cam0{i}.mp4") for i in (2, 1)]
    dialog = page.ask_about(videos)
    assert isinstance(dialog, ImportDialog)
    assert [box.currentText() for box in dialog.cameras] == ["cam02", "cam01"]
    dialog.name.clear()
    qtbot.keyClicks(dialog.name, "two_people")
    assert not dialog.go.isEnabled()
    assert "already exists" in dialog.problem.text()
    qtbot.keyClicks(dialog.name, "_again")
    assert dialog.go.isEnabled()
    _click(qtbot, dialog.go)
    ended(opened.state)
    assert _session(opened).take("two_people_again").cameras == ("cam01", "cam02")
    qtbot.waitUntil(lambda: any(c.take.name == "two_people_again" for c in page.takes), timeout=20_000)
    card = next(c for c in page.takes if c.take.name == "two_people_again")
    _click(qtbot, card.select)
    assert opened.state.take_name == "two_people_again"
    assert opened.top_bar.take.currentText() == "two_people_again"


def test_folders_of_images_ask_for_their_rate(
    sample_session: Session, dressed: QApplication, qtbot, tmp_path: Path
) -> None:
    for camera in ("cam01", "cam02"):
        (tmp_path / "in" / camera).mkdir(parents=True)
        (tmp_path / "in" / camera / "0001.jpg").write_bytes(b"")
    (tmp_path / "in" / "notes.txt").write_text("")
    dialog = ImportDialog(sample_session, [tmp_path / "in"])
    qtbot.addWidget(dialog)
    assert [box.currentText() for box in dialog.cameras] == ["cam01", "cam02"] and dialog.name.text() == "in"
    assert dialog.fps is not None and not dialog.go.isEnabled() and "frame rate" in dialog.problem.text()
    dialog.fps.setValue(29.97)
    assert dialog.go.isEnabled()
    assert dialog.params.fps == 29.97 and dialog.params.videos == tuple(
        str(tmp_path / "in" / camera) for camera in ("cam01", "cam02")
    )


def test_cameras_that_cannot_be_guessed_must_be_selected(
    sample_session: Session, dressed: QApplication, qtbot, tmp_path: Path
) -> None:
    dialog = ImportDialog(sample_session, [tmp_path / "left.mp4", tmp_path / "right.mp4"])
    qtbot.addWidget(dialog)
    assert not dialog.go.isEnabled()
    dialog.cameras[0].setCurrentText("cam03")
    dialog.cameras[1].setCurrentText("cam03")
    assert "two videos" in dialog.problem.text()
    dialog.cameras[1].setCurrentText("cam04")
    assert dialog.go.isEnabled()
    assert dialog.params.cameras == ("cam03", "cam04")


# ---- export


def test_every_exporter_is_offered_with_a_description() -> None:
    rows = export.format_rows("auto", "auto", export.EVERYTHING)
    assert [r.name for r in rows] == list(EXPORTERS)
    assert all((r.fits or r.problem) and r.description.endswith(".") for r in rows)
    assert any(not r.fits for r in export.format_rows("cm", "z", export.EVERYTHING))
    assert [r.name for r in export.format_rows("auto", "auto", {"points"}) if r.fits] == list(
        default_formats({"points"})
    )


@pytest.mark.slow
def test_export_writes_files_and_lists_them(opened: MainWindow, qtbot, tmp_path: Path, ended: Ended) -> None:
    opened.show_page("export")
    page = opened.pages["export"]
    assert not page.export.push.isEnabled()
    assert "Triangulate" in page.export.reason
    take = opened.state.take
    assert take is not None
    _stand(take)
    opened.state.refresh()
    assert page.export.push.isEnabled()
    assert page.result.currentData() == BASELINE
    qtbot.waitUntil(lambda: opened.rail.buttons["view"].step_state == "done")
    for name, box in page.boxes.items():
        box.setChecked(name in ("csv", "json"))
    qtbot.keyClicks(page.folder, str(tmp_path / "out"))
    _click(qtbot, page.export.push)
    ended(opened.state)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert any(n.endswith(".csv") for n in names)
    assert any(n.endswith(".json") for n in names)
    assert page.table is not None
    assert {page.table.item(r, 0).text() for r in range(page.table.rowCount())} <= names
    assert page.open_folder.isVisible()


@pytest.mark.slow
def test_formats_of_bodies_are_offered_where_bodies_are(opened: MainWindow) -> None:
    opened.show_page("export")
    page, take = opened.pages["export"], opened.state.take
    assert take is not None
    _stand(take)
    opened.state.refresh()
    assert page.boxes["csv"].isEnabled() and not page.boxes["glb"].isEnabled() and not page.boxes["glb"].isChecked()
    assert page.bodies.note.text() == export.NO_BODIES and page.fit_bodies.isVisible()
    poses, model = take.poses3d(BASELINE), free_body()
    shape = (*poses.present.shape, len(model.joints), 3)
    BodySequence(
        model=model.name,
        joints=model.joints,
        time_s=poses.time_s,
        person_ids=poses.person_ids,
        betas=np.zeros((shape[1], model.n_shape)),
        rotations_rad=np.zeros(shape),
        pelvis_mm=np.zeros((*shape[:2], 3)),
        provenance=bodies_provenance(take, BASELINE),
    ).save(take.layout.bodies(BASELINE))
    opened.state.refresh()
    assert page.boxes["glb"].isChecked() and not page.boxes["ply"].isChecked(), "large ones are not ticked"
    assert not page.bodies.note.text() and not page.fit_bodies.isVisible()


def test_files_of_a_sequence_are_one_row(tmp_path: Path) -> None:
    files = [tmp_path / "a.glb", *(tmp_path / "a_ply" / f"{frame}.ply" for frame in range(3))]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(bytes(2000))
    written = export.WrittenFiles(folder=tmp_path, files=tuple(files))
    assert written.rows() == [("a.glb", "2 kB"), ("a_ply (3 files)", "6 kB")]


@pytest.mark.slow
def test_a_format_that_does_not_support_the_units_says_so(opened: MainWindow) -> None:
    page = opened.pages["export"]
    page.units.setCurrentIndex(page.units.findData("cm"))
    unfit = [name for name, box in page.boxes.items() if not box.isEnabled()]
    assert unfit
    assert not any(page.boxes[name].isChecked() for name in unfit)
    assert "cannot be written in cm" in page._descriptions[unfit[0]].text()


# ---- all


def test_page_states_follow_the_session_on_disk(state: AppState, tmp_path: Path, sample_session: Session) -> None:
    state.set_session(Session.create(tmp_path / "empty"))
    pages = {name: step.state for name, step in page_states(state, PAGES).items()}
    assert pages == {
        "calibrate": "ready", "record": "ready", "train": "blocked", "view": "blocked", "export": "blocked",
        "live": "blocked",
    }  # fmt: skip
    state.set_session(sample_session)
    take = state.take
    assert take is not None
    assert page_states(state, PAGES)["live"].state == "ready"
    assert page_states(state, PAGES)["export"].state == "blocked"
    _stand(take)
    state.refresh()
    assert state.poses_name == BASELINE
    assert page_states(state, PAGES)["view"].state == "done"
    assert page_states(state, PAGES)["export"].state == "ready"
    shutil.rmtree(take.layout.root)
    state.refresh()
    assert state.take_name == ""
    assert state.poses_name == ""
    assert page_states(state, PAGES)["record"].state == "ready"
