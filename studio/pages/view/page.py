"""View page: 3D view and videos side by side with a common timeline."""

from __future__ import annotations

import sys
from dataclasses import replace

from PySide6.QtCore import QEvent, QObject, QSize, Qt, QTimer
from PySide6.QtGui import QHideEvent, QKeyEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QApplication, QFrame, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from core.errors import CoreError
from studio.background import Background
from studio.pages.view.exports import ViewExports
from studio.pages.view.joints.graphs import JointGraphs
from studio.pages.view.joints.series import JointMotions
from studio.pages.view.options import SHOW_VIDEO_BODIES, toolbar_options
from studio.pages.view.panels import NoticeBar
from studio.pages.view.presenter import ViewPresenter
from studio.pages.view.scene.divider import Divider
from studio.pages.view.scene.legends import SceneLegends
from studio.pages.view.scene.pointer import ScenePointer
from studio.pages.view.scene.view_modes import ViewModes
from studio.pages.view.scene.volume import VolumeHandles, VolumePanel
from studio.pages.view.side import SideColumn
from studio.pages.view.toolbar import ViewStrip, ViewToolbar
from studio.shell.dialogs import show_error_dialog
from studio.shell.updating import UPDATE_TIP, start_update
from studio.state.app_state import AppState
from studio.theme import Theme, current_theme, theme_changed
from studio.viewport.canvas import Viewport
from studio.viewport.layers.accuracy import SHOW_ACCURACY
from studio.viewport.layers.cameras import SHOW_CAMERAS
from studio.viewport.layers.skeletons import SHOW_CONFIDENCE, SHOW_SIDES, SHOW_SKELETONS
from studio.viewport.layers.spec import DisplayOption
from studio.viewport.layers.volume import SHOW_VOLUME
from studio.viewport.palette import palette
from studio.viewport.scene import SceneLayers
from studio.widgets.buttons import button, set_blocked
from studio.widgets.empty_state import EmptyState
from studio.widgets.frame_ticker import FrameTicker
from studio.widgets.images.pane_overlay import PaneOverlay
from studio.widgets.playback.timeline import TimelineWidget

_MARGIN_PX = 12
_SPLITTER_SHARES = 0.62, 0.38
_WIDE_PX, _NARROW_SHARES = 1300, (0.5, 0.5)
"""Width in px below which the images get half of it, so that people are recognisable."""
_PATIENCE_MS = 250
"""Time in ms after which a message about reading is shown."""
_UNFOLD_HEIGHT_PX = 800
"""Height in px from which the evaluation table fits below the videos."""


class ViewPage(QWidget):
    """View page with 3D view, videos and timeline of the selected take.

    The presenter determines the content, the timeline the frame. While hidden, the page neither plays nor reads.

    Args:
        state: State shared with the other pages.
    """

    def __init__(self, state: AppState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self.presenter = ViewPresenter(state)
        self._take_stale = self._result_stale = True
        self._background, self._detections = Background(self), Background(self)
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(_PATIENCE_MS)
        self._patience.timeout.connect(self._show_waiting)
        self._splitter_sized = False
        self._palette = palette(current_theme())
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._build()
        self.exports = ViewExports(state, self.presenter, self.viewport, self)
        self._connect()

    @property
    def notice_text(self) -> str:
        """Text of the notice bar; empty if it is hidden."""
        return self._notice.text

    def showEvent(self, event: QShowEvent) -> None:
        """Load changes made while the page was hidden."""
        super().showEvent(event)
        self._reload()
        self.timeline.bar.setFocus()

    def hideEvent(self, event: QHideEvent) -> None:
        """Stop playback."""
        self.timeline.pause()
        super().hideEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Handle keys of the timeline, then the shortcuts of the toolbar."""
        if self.timeline.handle_key(event):
            return
        plain = not event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        key = event.text().upper() if plain else ""
        if key and (self.toolbar.press(key) or self.views.press(key)):
            event.accept()
            return
        super().keyPressEvent(event)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Keep overlays in the corners of the 3D view."""
        if watched is self.viewport and event.type() == QEvent.Type.Resize:
            self.views.adjustSize()
            corner = self.viewport.rect().bottomRight() - self.views.rect().bottomRight()
            self.views.move(corner.x() - _MARGIN_PX, corner.y() - _MARGIN_PX)
            self.volume.lie_over(self.viewport.size(), self.views.size(), _MARGIN_PX)
            self._place_legend()
        if watched is self.graphs and event.type() in (QEvent.Type.Show, QEvent.Type.Hide):
            self._fit_side()
        return False

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Show the cards for which there is space."""
        super().resizeEvent(event)
        self._fit_side()

    def play(self) -> None:
        """Play the take and rotate the 3D view slowly until the user interacts, unless reduced motion is set."""
        self.timeline.play()
        if self._state.settings.value.turning and not _reduced_motion():
            self.viewport.start_turning()

    def act(self, action: str) -> None:
        """Execute an action of the menu."""
        self.exports.act(action)

    def why_not(self, action: str) -> str:
        """Return why an action of the menu is blocked; empty if it is available."""
        return self.exports.why_not(action)

    def shut_down(self) -> None:
        """Stop the decoder threads and free the OpenGL resources before the window closes."""
        self.timeline.pause()
        for background in (self._background, self._detections):
            background.drop()
        self._patience.stop()
        self.panes.close_videos()
        self.viewport.close_canvas()

    def _build(self) -> None:
        self.toolbar = ViewToolbar()
        # The timeline subscribes first, so that its changes are drawn in the same tick.
        self._ticker = FrameTicker(parent=self)
        self.timeline = TimelineWidget(self._ticker)
        self.side = SideColumn(self._state, self._ticker)
        self.panes = self.side.panes
        self.viewport = Viewport(self._ticker)
        self.viewport.setObjectName("viewport")
        self.graphs = JointGraphs(self.timeline.bar, self.presenter.curves)
        handles = VolumeHandles(self.viewport, self.presenter, self._state.volume, self._volume_refused)
        self.pointer = ScenePointer(self.viewport, self._joints_shown, handles.grab)
        self._ticker.subscribe(self.pointer.tick)
        self.dividers = Divider(self.viewport), Divider(self.viewport)
        self.views = ViewStrip(self.viewport)
        self.modes = ViewModes(
            self.presenter, self.viewport, self.views, self.dividers, self.panes, self._compared_layers
        )
        self.volume = VolumePanel(self._state.volume, self.viewport)
        self.volume.hide()
        self.legends = SceneLegends(self.viewport)
        self.viewport.installEventFilter(self)
        self.graphs.installEventFilter(self)
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.addWidget(self.viewport)
        self.splitter.addWidget(self.side)
        self.splitter.setStretchFactor(0, 3)
        self.splitter.setStretchFactor(1, 2)
        self.splitter.setChildrenCollapsible(False)
        self._notice = NoticeBar()
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        for widget in (self.toolbar, _hairline(), self._notice):
            column.addWidget(widget)
        column.addWidget(self.splitter, 1)
        column.addWidget(_hairline())
        column.addWidget(self.timeline)
        column.addWidget(self.graphs)
        self.go = button("", "primary", "chevron-right")
        self.empty = EmptyState("view", "", "", self.go)
        self.stack = QStackedWidget()
        self.stack.addWidget(self.empty)
        self.stack.addWidget(content)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.stack)

    def _connect(self) -> None:
        self._state.session_changed.connect(self._take_changed)
        self._state.take_changed.connect(self._take_changed)
        self._state.poses_changed.connect(self._result_changed)
        self._state.status_changed.connect(self._result_changed)
        self._state.content_changed.connect(self._reload_if_visible)
        self.toolbar.result_selected.connect(self.presenter.select_result)
        self.toolbar.comparison_selected.connect(self._compare)
        self.toolbar.option_toggled.connect(self._toggle)
        self.toolbar.person_followed.connect(self._follow)
        self.toolbar.wipe_toggled.connect(self.modes.set_wipe)
        self.toolbar.reset_requested.connect(self._reset)
        self.exports.fill(self.toolbar.exports)
        for signal in (
            self.views.view_selected,
            self.views.four_selected,
            self.views.camera_selected,
            self.views.frame_all_requested,
            self.timeline.playing_changed,
        ):
            signal.connect(self.viewport.stop_turning)
        self.views.frame_all_requested.connect(self.viewport.frame_all)
        self.timeline.frame_changed.connect(self._show_frame)
        self.pointer.pinned.connect(self.graphs.pin)
        self.graphs.frame_selected.connect(self.timeline.seek)
        self._notice.update_button.clicked.connect(lambda: start_update(self._state, self.window()))
        self._notice.page_requested.connect(self._go_to)
        self.go.clicked.connect(lambda: self._go_to("record"))
        self._state.jobs.active_changed.connect(self._jobs_changed)
        self._state.volume.changed.connect(self._volume_changed)
        self._state.volume.shown.connect(self._show_volume)
        self.volume.closed.connect(self._hide_volume)
        self.panes.images_changed.connect(self.viewport.invalidate)
        self.viewport.set_scene_source(self._layers)
        theme_changed.connect(self._apply_theme)

    def _take_changed(self) -> None:
        self._take_stale = True

    def _result_changed(self) -> None:
        self._result_stale = True

    def _reload_if_visible(self) -> None:
        if self.isVisible():
            self._reload()
        elif self._take_stale and self._state.session is None:
            self.panes.close_videos()

    def _reload(self) -> None:
        """Show changes; a long take is shown once it is read."""
        self._background.drop()
        self._patience.stop()
        if (self._take_stale or self._result_stale) and (ahead := self.presenter.reading_ahead()) is not None:
            self._background.run(ahead, self._show_read)
            self._patience.start()
        else:
            self._load()

    def _show_read(self, _read: None) -> None:
        self._patience.stop()
        if self.isVisible():
            self._load()

    def _show_waiting(self) -> None:
        """Show that data are being read."""
        if self._take_stale:
            self.empty.show_message(f"Reading {self._state.take_name}…", "")
            self.go.hide()
            self.stack.setCurrentIndex(0)
        else:
            self._notice.show_message(f"Reading {self.presenter.title(self._state.poses_name)}…")

    def _load(self) -> None:
        if self._take_stale or self.presenter.take is None:
            self._load_take()
        elif self._result_stale:
            self.presenter.load_result()
            self._show_result()
        self._take_stale = self._result_stale = False

    def _load_take(self) -> None:
        self.presenter.load_take()
        self.viewport.frame_next_scene()
        self.panes.show_take(self.presenter.take, self.presenter.timeline, self._overlay)
        self._show_result()

    def _show_result(self) -> None:
        """Update everything that depends on the result, and keep the frame."""
        presenter = self.presenter
        notice = presenter.notice
        blocked = notice is not None and notice.blocking
        if notice is not None and blocked:
            self.empty.show_message(notice.heading, notice.remedy)
            self.go.setText(f"Go to {notice.page.capitalize()}")
            self.go.setVisible(bool(notice.page))
        text = "" if notice is None or blocked else f"{notice.heading} {notice.remedy}".strip()
        page = notice.page if notice is not None else ""
        self._notice.show_message(text, outdated=notice is not None and notice.outdated, page=page)
        set_blocked(self._notice.update_button, self._state.jobs.why_not(), UPDATE_TIP)
        self.stack.setCurrentIndex(0 if blocked else 1)
        if not blocked and not self._splitter_sized:
            self._splitter_sized = True
            shares = _SPLITTER_SHARES if self.width() >= _WIDE_PX else _NARROW_SHARES
            self.splitter.setSizes([round(self.width() * share) for share in shares])
            self.side.evaluation.fold.setChecked(self.height() >= _UNFOLD_HEIGHT_PX)
        self.toolbar.show_state(presenter)
        self.modes.refresh()
        self.timeline.show_model(presenter.timeline_model())
        self.side.show_evaluation(presenter.evaluation)
        self.side.bodies.refresh()
        self._show_volume_panel()
        self._show_legend()
        self.graphs.refresh(self._state.session.root if self._state.session is not None else None)
        self.graphs.show_frame(self.timeline.frame)
        self._refresh_frame()

    def _fit_side(self) -> None:
        self.side.fit(small=self.height() < _UNFOLD_HEIGHT_PX, graphs_shown=not self.graphs.isHidden())

    def _go_to(self, page: str) -> None:
        self._state.page_requested.emit(page, "")

    def _jobs_changed(self) -> None:
        self.panes.leave_time_to_jobs(bool(self._state.jobs.active))
        set_blocked(self._notice.update_button, self._state.jobs.why_not(), UPDATE_TIP)

    def _volume_changed(self) -> None:
        if not self.isVisible():
            self._result_stale = True
            return
        if self.presenter.notice is None:
            self.presenter.load_volume()
        else:
            self.presenter.load_result()  # the problem of the notice may be solved
            self._show_result()
        self._show_volume_panel()
        self._refresh_frame()

    def _show_volume(self) -> None:
        self.toolbar.toggle(SHOW_VOLUME.name).setChecked(True)

    def _hide_volume(self) -> None:
        self.toolbar.toggle(SHOW_VOLUME.name).setChecked(False)

    def _show_volume_panel(self) -> None:
        shown = self.presenter.options.shows(SHOW_VOLUME) and self.presenter.has_rig
        if shown:
            self.volume.refresh()
        self.volume.setVisible(shown)

    def _show_legend(self) -> None:
        self.legends.show(self.presenter, current_theme())
        self._place_legend()

    def _place_legend(self) -> None:
        """Place legends and overlays of the 3D view."""
        taken = self.legends.place(_MARGIN_PX)
        self.modes.keep_clear(taken)
        height = 0 if taken.isNull() else taken.height() + _MARGIN_PX
        self.viewport.set_margins(height, self.views.height() + _MARGIN_PX)

    def _read_detections(self) -> None:
        if (reading := self.presenter.reading_detections()) is not None:
            self._detections.run(reading, lambda _: self.panes.refresh_overlays(), self._show_problem)

    def _show_problem(self, error: CoreError) -> None:
        self._notice.show_message(f"{error.message} {error.hint}")

    def _refresh_frame(self) -> None:
        self._read_detections()
        self._show_body_layers()
        self.panes.refresh_overlays()
        self._show_frame(self.timeline.frame)

    def _show_body_layers(self) -> None:
        layers = self.presenter.body_layers(self._palette)
        self.panes.show_layer(layers.layer if layers is not None else None)

    def _overlay(self, camera: str, frame: int) -> PaneOverlay:
        return self.presenter.overlay(camera, frame, self._palette)

    def _show_frame(self, frame: int) -> None:
        if self.presenter.take is None:
            return
        self.panes.show_frame(frame)
        self.viewport.invalidate()
        self.graphs.show_frame(frame)
        self._show_people()

    def _layers(self) -> SceneLayers:
        return self.presenter.layers(self.timeline.frame, self._palette, self.panes.images())

    def _compared_layers(self) -> SceneLayers:
        return self.presenter.compared_layers(self.timeline.frame, self._palette, self.panes.images())

    def _show_people(self) -> None:
        self.side.show_people(self.presenter.people_at(self.timeline.frame))

    def _toggle(self, option: DisplayOption, on: bool) -> None:
        self.presenter.options = self.presenter.options.with_option(option, on)
        if option == SHOW_VOLUME:
            self._show_volume_panel()
        if option in (SHOW_CAMERAS, SHOW_ACCURACY, SHOW_SKELETONS, SHOW_SIDES, SHOW_CONFIDENCE):
            self._show_legend()
        self._read_detections()
        if option == SHOW_VIDEO_BODIES:
            self._show_body_layers()
        self.panes.refresh_overlays()
        self.viewport.invalidate()

    def _joints_shown(self, compared: bool) -> tuple[JointMotions, int] | None:
        return self.presenter.joints_at(self.timeline.frame, compared=compared)

    def _volume_refused(self, error: CoreError) -> None:
        """Show why a dragged capture volume is not stored, and reset it."""
        show_error_dialog(error, self.window())
        self._volume_changed()

    def _reset(self) -> None:
        """Reset layers and view."""
        for option in toolbar_options():
            self.toolbar.toggle(option.name).setChecked(option.default)
        self.toolbar.follow.setCurrentIndex(0)
        self._follow(None)
        self.views.button("perspective").click()

    def _compare(self, name: str) -> None:
        self._state.comparison_name = name
        self._result_stale = True
        self._reload()

    def _follow(self, person: int | None) -> None:
        self.presenter.options = replace(self.presenter.options, follow=person)
        self.viewport.invalidate()

    def _apply_theme(self, theme: Theme) -> None:
        self._palette = palette(theme)
        self._show_legend()
        self._show_body_layers()
        self.panes.refresh_overlays()
        self.viewport.invalidate()

    def sizeHint(self) -> QSize:
        """Return a size that fills the window."""
        return QSize(1100, 700)


def _reduced_motion() -> bool:
    """Return whether reduced motion is set in the system, which Qt only reports on Windows."""
    return sys.platform == "win32" and not QApplication.isEffectEnabled(Qt.UIEffect.UI_General)


def _hairline() -> QFrame:
    line = QFrame()
    line.setProperty("role", "line")
    return line
