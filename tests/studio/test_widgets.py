"""Shared widgets, checked by their pixels and texts."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QWheelEvent
from PySide6.QtWidgets import QApplication, QLabel, QPushButton, QWidget

from core.jobs import Metric
from studio.icons import icon, tinted_svg
from studio.plots.loss_plot import LogAxis, LossPlot
from studio.state.system_info import device_text, disk_text
from studio.theme import DARK, LIGHT, apply_theme, current_theme
from studio.viewport.palette import palette
from studio.widgets.buttons import ReasonButton, button
from studio.widgets.columns import Columns, TileGrid
from studio.widgets.data_table import DataTable
from studio.widgets.elided import ElidedLabel
from studio.widgets.images.image_view import ImageView, Lines, to_image
from studio.widgets.page.panels import Panels


def _luminance(colour: str) -> float:
    """WCAG 2.1 relative luminance."""
    rgb = np.array(QColor(colour).getRgbF()[:3])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def _contrast(a: str, b: str) -> float:
    high, low = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda t: t.name)
def test_text_has_enough_contrast(theme) -> None:
    """WCAG 2.1 AA: at least 4.5 for text and 3 for graphics. Axes and people give their colours to labels."""
    words = "muted", "faint", "accent", "good", "warn", "bad", "axis_x", "axis_y", "axis_z"
    for surface in ("window", "panel", "raised", "viewport"):
        assert _contrast(theme.text, getattr(theme, surface)) >= 7
        for token in words:
            assert _contrast(getattr(theme, token), getattr(theme, surface)) >= 4.5, (token, surface)
    for colour in theme.persons:
        assert min(_contrast(colour, theme.panel), _contrast(colour, theme.viewport)) >= 4.5, colour
    assert _contrast(theme.muted, theme.hover) >= 4.5
    assert _contrast(theme.on_accent, theme.accent) >= 4.5
    assert _contrast(theme.text, theme.accent_soft) >= 7
    for colour in (*theme.persons, *theme.series):
        assert _contrast(colour, theme.viewport) >= 3
    assert len(set(theme.persons)) == len(theme.persons) >= 8


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda t: t.name)
def test_labels_of_the_3d_view_have_enough_contrast(theme) -> None:
    colours = palette(theme)
    for ink in (colours.text, colours.muted, *colours.persons):
        hexed = "#" + "".join(f"{round(255 * float(v)):02x}" for v in ink[:3])
        assert _contrast(hexed, theme.viewport) >= 4.5


def test_a_long_line_is_shortened_and_its_tooltip_says_all(dressed: QApplication, qtbot) -> None:
    label = ElidedLabel("small")
    qtbot.addWidget(label)
    label.setText("Train: image networks, step 12 of 4000, about 3 minutes left")
    label.resize(120, 20)
    label.show()
    label.grab()
    assert label.shown_text.startswith("Train: ") and label.shown_text.endswith("…")
    assert label.toolTip() == label.text()
    label.resize(900, 20)
    label.grab()
    assert label.shown_text == label.text() and not label.toolTip()


def test_hidden_panels_take_no_space_and_the_wheel_selects_none(dressed: QApplication, qtbot) -> None:
    panels = Panels()
    qtbot.addWidget(panels)
    tall, low = QWidget(), QWidget()
    tall.setMinimumHeight(900)
    for name, widget in (("low", low), ("tall", tall)):
        panels.add(name, name, widget)
    panels.show()
    assert panels.current == "low" and low.isVisible() and not tall.isVisible()
    assert panels.minimumSizeHint().height() < 200
    at = panels.bar.rect().center()
    wheel = QWheelEvent(
        QPointF(at),
        QPointF(panels.bar.mapToGlobal(at)),
        QPoint(0, 0),
        QPoint(0, -120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(panels.bar, wheel)
    assert panels.current == "low"
    panels.set_blocked("tall", "Not yet.")
    assert not panels.is_available("tall") and panels.bar.tabToolTip(1) == "Not yet."
    panels.set_blocked("tall", "")
    with qtbot.waitSignal(panels.changed) as caught:
        panels.show_panel("tall")
    assert caught.args == ["tall"] and tall.isVisible() and not low.isVisible()


def test_style_sheet_has_no_unresolved_token(dressed: QApplication) -> None:
    for name in ("light", "dark"):
        apply_theme(dressed, name)
        assert "@" not in dressed.styleSheet()
        assert current_theme().window in dressed.styleSheet()


def test_every_icon_follows_the_theme(dressed: QApplication) -> None:
    assert "currentColor" not in tinted_svg("play", "#112233")
    image = icon("stop", "text").pixmap(32, 32).toImage()
    dark = {image.pixelColor(x, y).name() for x in range(32) for y in range(32) if image.pixelColor(x, y).alpha() > 200}
    assert DARK.text in dark
    same = icon("stop", "text")
    apply_theme(dressed, "light")
    image = same.pixmap(32, 32).toImage()
    light = {
        image.pixelColor(x, y).name() for x in range(32) for y in range(32) if image.pixelColor(x, y).alpha() > 200
    }
    assert LIGHT.text in light
    apply_theme(dressed, "dark")


def test_disabled_button_shows_the_reason(dressed: QApplication, qtbot) -> None:
    holder = ReasonButton(button("Go", tip="Goes"))
    qtbot.addWidget(holder)
    holder.show()
    holder.set_blocked("Not yet.")
    assert not holder.push.isEnabled()
    assert holder.push.toolTip() == "Not yet."
    assert any(label.text() == "Not yet." and label.isVisible() for label in holder.findChildren(QLabel))
    holder.set_blocked("")
    assert holder.push.isEnabled()
    assert holder.push.toolTip() == "Goes"


def test_image_draws_lines_where_the_pixels_are(dressed: QApplication, qtbot) -> None:
    widget = ImageView()
    qtbot.addWidget(widget)
    widget.resize(200, 100)
    path = np.array([[0.0, 24.5], [40.0, 24.5], [np.nan, np.nan], [60.0, 24.5], [99.0, 24.5]])
    widget.set_image(to_image(np.zeros((50, 100, 3), np.uint8)), [Lines((path,), "bad", 4.0)])
    shown = widget.grab().toImage()
    # Scale 2, pixel centres: y = (24.5 + 0.5) * 2 = 50.
    assert shown.pixelColor(40, 50).name() == DARK.bad
    assert shown.pixelColor(160, 50).name() == DARK.bad
    assert shown.pixelColor(100, 50).name() == "#000000"  # the gap
    assert shown.pixelColor(40, 60).name() == "#000000"


def test_image_is_clickable_only_when_loaded(dressed: QApplication, qtbot) -> None:
    widget = ImageView()
    qtbot.addWidget(widget)
    widget.resize(200, 100)
    clicks: list[int] = []
    widget.clicked.connect(lambda: clicks.append(1))
    qtbot.mouseClick(widget, Qt.MouseButton.LeftButton)
    widget.set_image(to_image(np.zeros((50, 100, 3), np.uint8)))
    qtbot.mouseClick(widget, Qt.MouseButton.LeftButton)
    assert len(clicks) == 1


def test_columns_are_side_by_side_only_if_wide_enough(dressed: QApplication, qtbot) -> None:
    columns = Columns(breakpoint_px=600)
    qtbot.addWidget(columns)
    left, right = QPushButton("a"), QPushButton("b")
    columns.left.addWidget(left)
    columns.right.addWidget(right)
    columns.show()
    columns.resize(800, 300)
    qtbot.waitUntil(lambda: left.y() == right.y())
    columns.resize(500, 300)
    qtbot.waitUntil(lambda: left.x() == right.x() and left.y() < right.y())


@pytest.mark.parametrize(("width", "columns"), [(150, 1), (330, 2), (700, 4)])
def test_tiles_take_as_many_columns_as_fit(dressed: QApplication, qtbot, width: int, columns: int) -> None:
    grid = TileGrid(tile_px=150)
    qtbot.addWidget(grid)
    tiles = [QPushButton(str(i)) for i in range(4)]
    grid.set_tiles(list(tiles))
    grid.resize(width, 300)
    grid.show()
    qtbot.waitUntil(lambda: len({t.x() for t in tiles}) == columns)


def test_table_is_as_high_as_its_rows_and_follows_the_theme(dressed: QApplication, qtbot) -> None:
    table = DataTable(("Name", "Value"), right=(1,))
    qtbot.addWidget(table)
    table.set_rows([("a", "1"), ("b", "2")], {(1, 1): "good"})
    two = table.height()
    assert table.item(1, 1).foreground().color().name() == DARK.good
    apply_theme(dressed, "light")
    assert table.item(1, 1).foreground().color().name() == LIGHT.good
    apply_theme(dressed, "dark")
    table.set_rows([("a", "1")])
    one = table.height()
    assert one < two
    table.set_rows([("a name that is wider than the table", "1")])
    table.resize(120, one)
    table.show()
    bar = table.horizontalScrollBar()
    qtbot.waitUntil(bar.isVisible)
    assert table.columnWidth(0) >= table.sizeHintForColumn(0)
    assert table.height() == one + bar.height()


def test_loss_plot_keeps_the_later_value_of_a_resumed_step(dressed: QApplication, qtbot) -> None:
    plot = LossPlot("Losses")
    qtbot.addWidget(plot)
    plot.add(Metric(name="pose/loss", value=float(v), step=s) for s, v in [(1, 9), (2, 8), (3, 7), (2, 5), (3, 4)])
    plot.add([Metric(name="pose/loss", value=float("nan"), step=4)])
    plot.redraw()
    (curve,) = plot.plotItem.listDataItems()
    assert curve.xData.tolist() == [1, 2, 3]
    assert curve.yData.tolist() == [9, 5, 4]
    apply_theme(dressed, "light")
    assert plot.backgroundBrush().color().name() == LIGHT.panel
    assert curve.opts["pen"].color().name() == LIGHT.series[0]
    apply_theme(dressed, "dark")
    plot.reset()
    assert plot.names == []


def test_a_plot_uses_the_given_legend_labels(dressed: QApplication, qtbot) -> None:
    plot = LossPlot("Error", labels={"px": "all cameras"})
    qtbot.addWidget(plot)
    plot.add(Metric(name=f"held_out/{name}", value=1.0, step=1) for name in ("px", "camera_px"))
    plot.redraw()
    legend = plot.plotItem.titleLabel.text
    assert ">all cameras<" in legend
    assert ">camera px<" in legend


def test_a_narrow_plot_breaks_its_legend_into_lines(dressed: QApplication, qtbot) -> None:
    plot = LossPlot("Losses")
    qtbot.addWidget(plot)
    names = ("heatmap", "joint", "anchor", "consistency", "attention", "planes", "backbone", "loss")
    plot.add(Metric(name=f"pose/{name}", value=1.0, step=1) for name in names)
    plot.redraw()
    plot.show()
    breaks = []
    for width in (260, 900):
        plot.resize(width, plot.height())
        qtbot.waitUntil(lambda: plot.plotItem.titleLabel.item.boundingRect().width() <= plot.width())
        breaks.append(plot.plotItem.titleLabel.text.count("<br>"))
    assert breaks[0] > breaks[1] == 1


def test_device_text(tmp_path) -> None:
    assert device_text("NVIDIA H200", "cuda") == ("NVIDIA H200", "")
    words, remark = device_text("NVIDIA H200", "cpu")
    assert words.startswith("CPU")
    assert "CUDA" in remark
    assert device_text("", "cuda")[1] == ""
    words, tight = disk_text(tmp_path / "not" / "there")
    assert words.endswith("GB free")
    assert isinstance(tight, bool)


def test_logarithmic_axis_has_plain_and_sparse_labels(dressed: QApplication) -> None:
    axis = LogAxis("left")
    ((_, few),) = axis.tickValues(-2.0, 0.0, 200)
    assert axis.tickStrings(few, 1, 1) == ["0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1"]
    ((_, many),) = axis.tickValues(-4.5, 0.2, 200)
    assert axis.tickStrings(many, 1, 1) == ["0.0001", "0.001", "0.01", "0.1", "1"]
