"""Contract of the layer table: a layer is one module and one line."""

from __future__ import annotations

import importlib
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from core.session import Session
from studio.pages.view.options import VIDEO_OPTIONS, VIEWS, shortcuts, toolbar_options
from studio.pages.view.page import ViewPage
from studio.state.app_state import AppState
from studio.viewport.layers import table

MODULE = '''
from dataclasses import dataclass

import numpy as np

from studio.viewport.layers.spec import DisplayOption, LayerSpec
from studio.viewport.primitives import make_capsules
from studio.viewport.visuals import capsule_visual

SHOW_BEACON = DisplayOption(name="beacon", label="Beacon", icon="dot", shortcut="X", default=False)
COLOUR = np.array([1.0, 0.0, 1.0, 1.0], np.float32)


@dataclass(frozen=True, eq=False)
class BeaconLayer:
    """A ball at a point."""

    xyz_mm: np.ndarray


def build_beacon(data, frame):
    return BeaconLayer(np.array([0.0, 0.0, 2500.0 + 10 * frame.pose_frame]))


def beacon_capsules(layer):
    return [make_capsules(layer.xyz_mm, layer.xyz_mm, 150.0, 1.0, COLOUR)]


BEACON = LayerSpec(
    name="beacon",
    layer=BeaconLayer,
    build=build_beacon,
    visual=capsule_visual(beacon_capsules, order=60),
    option=SHOW_BEACON,
    available=lambda data: data.poses is not None,
    extent=lambda layer: layer.xyz_mm[None],
)
'''


@pytest.mark.slow
def test_a_new_layer_is_built_drawn_and_offered(
    numbered_root: Path, tmp_path: Path, qapp: QApplication, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "beacon_layer.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    beacon = importlib.import_module("beacon_layer")
    monkeypatch.setattr(table, "LAYERS", (*table.LAYERS, beacon.BEACON))

    assert ("Beacon", "X") in dict(shortcuts())["Layers of the View page"]
    page = ViewPage(AppState())
    qtbot.addWidget(page)
    page.resize(900, 600)
    page.show()
    button = page.toolbar.toggle("beacon")
    assert button.toolTip() == "Beacon (X)"
    page._state.set_session(Session.open(numbered_root))
    qtbot.waitUntil(lambda: page.panes.up_to_date, timeout=20_000)
    assert button.isVisible() and not button.isChecked()
    assert "beacon" not in page._layers().layers

    def magenta() -> np.ndarray:
        image = page.viewport.grab_image()
        assert image is not None
        return (image[..., 0] > 200) & (image[..., 1] < 60) & (image[..., 2] > 200)

    assert not magenta().any()
    page.toolbar.toggle("labels").setChecked(False)  # a name may cover it
    qtbot.keyClick(page, Qt.Key.Key_X)
    assert button.isChecked()
    page.viewport.grab_image()
    page.viewport.frame_all()  # the extent of the layer is in view
    rows, columns = np.nonzero(magenta())
    (x, y), *_ = page.viewport.project_to_widget(np.array([[0.0, 0.0, 2500.0]]))
    assert abs(columns.mean() - x) < 3 and abs(rows.mean() - y) < 3
    page.timeline.seek(40)
    assert np.nonzero(magenta())[0].mean() < rows.mean() - 2, "40 cm higher"
    button.setChecked(False)
    assert not magenta().any()
    page.shut_down()


def test_names_and_shortcuts_are_unique() -> None:
    names = [spec.name for spec in table.LAYERS]
    options = [option.name for option in toolbar_options()]
    keys = (
        [option.shortcut for option in toolbar_options() if option.shortcut]
        + [key for _, _, key in VIEWS]
        + list("F50WR")
    )
    for values in (names, options, keys):
        assert len(set(values)) == len(values)
    assert set(VIDEO_OPTIONS) <= set(toolbar_options())


@pytest.mark.slow
def test_layers_are_built_without_opengl() -> None:
    script = textwrap.dedent(
        """
        import sys
        from core.synthetic.rigs import ring_rig
        from studio.theme import DARK
        from studio.viewport.layers.spec import ViewOptions
        from studio.viewport.palette import palette
        from studio.viewport.scene import build_scene_layers
        from studio.viewport.scene_data import SceneData
        scene = build_scene_layers(SceneData.build(ring_rig(3)), 0.0, ViewOptions(), palette(DARK))
        assert set(scene.layers) == {"names", "floor marks", "cameras", "floor"}, scene.layers.keys()
        assert "vispy" not in sys.modules
        """
    )
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", script], check=True, cwd=root, timeout=120)
