"""The View page: 3D and video side by side over one timeline."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QEvent, QObject, QSize, Qt
from PySide6.QtGui import QHideEvent, QKeyEvent, QShowEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from studio.pages.view.panels import EvaluationCard, PeoplePanel, VolumePanel
from studio.pages.view.presenter import ViewPresenter
from studio.pages.view.toolbar import TOGGLES, ViewStrip, ViewToolbar
from studio.state.app_state import AppState
from studio.theme import GRID_PX, Theme, current_theme, theme_changed
from studio.viewport.canvas import Viewport
from studio.viewport.layers import SceneLayers
from studio.viewport.palette import palette
from studio.widgets.empty_state import EmptyState
from studio.widgets.frame_ticker import FrameTicker
from studio.widgets.icon_label import IconLabel
from studio.widgets.level_legend import LevelLegend
from studio.widgets.text import label
from studio.widgets.timeline import TimelineWidget
from studio.widgets.video_panes import VideoPanes

_MARGIN_PX = 12
_SHARES = 0.62, 0.38
# From this height on there is room for videos and figures both.
_ROOMY_PX = 800


class ViewPage(QWidget):
    """Looks at the selected take.

    The page is a shell: what to show comes from the presenter, when to show it from the timeline. While it is hidden
    it neither plays nor reads.

    Args:
        state: Selection shared with the other pages.
    """

    def __init__(self, state: AppState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self.presenter = ViewPresenter(state)
        self._take_stale = self._result_stale = True
        self._divided = False
        self._palette = palette(current_theme())
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._build()
        self._connect()

    @property
    def notice_text(self) -> str:
        """What the page says is missing; empty if nothing is."""
        return self._notice.text

    def showEvent(self, event: QShowEvent) -> None:
        """Reads what changed while the page was hidden."""
        super().showEvent(event)
        self._reload()
        self.timeline.bar.setFocus()

    def hideEvent(self, event: QHideEvent) -> None:
        """Nobody sees it: stops playing."""
        self.timeline.pause()
        super().hideEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Keys that no control wanted: the timeline's, then the toolbar's letters."""
        if self.timeline.handle_key(event):
            return
        plain = not event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        key = event.text().upper() if plain else ""
        if key and (self.toolbar.press(key) or self.views.press(key)):
            event.accept()
            return
        super().keyPressEvent(event)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Keeps the strip and the capture volume's panel in the corners of the 3D view."""
        if watched is self.viewport and event.type() == QEvent.Type.Resize:
            self.views.adjustSize()
            corner = self.viewport.rect().bottomRight() - self.views.rect().bottomRight()
            self.views.move(corner.x() - _MARGIN_PX, corner.y() - _MARGIN_PX)
            self.volume.fit(self.viewport.height() - 2 * _MARGIN_PX)
            self._place_legend()
        return False

    def shut_down(self) -> None:
        """Ends the threads and frees OpenGL. Called once, before the window goes."""
        self.timeline.pause()
        self.panes.close_videos()
        self.viewport.close_canvas()

    def _build(self) -> None:
        self.toolbar = ViewToolbar()
        # The timeline first: what it moves is collected and drawn in the same beat.
        self._pulse = FrameTicker(parent=self)
        self.timeline = TimelineWidget(self._pulse)
        self.panes = VideoPanes(self._pulse)
        self.viewport = Viewport(self._pulse)
        self.viewport.setObjectName("viewport")
        self.figures = EvaluationCard()
        self.people = PeoplePanel(self.viewport)
        self.people.move(_MARGIN_PX, _MARGIN_PX)
        self.people.hide()
        self.views = ViewStrip(self.viewport)
        self.volume = VolumePanel(self._state.volume, self.viewport)
        self.volume.hide()
        self.legend = LevelLegend(self.viewport)
        self.viewport.installEventFilter(self)
        side = QWidget()
        side_column = QVBoxLayout(side)
        side_column.setContentsMargins(GRID_PX, GRID_PX, GRID_PX, GRID_PX)
        side_column.setSpacing(GRID_PX)
        side_column.addWidget(self.panes, 1)
        side_column.addWidget(self.figures)
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.addWidget(self.viewport)
        self.splitter.addWidget(side)
        self.splitter.setStretchFactor(0, 3)
        self.splitter.setStretchFactor(1, 2)
        self.splitter.setChildrenCollapsible(False)
        self._notice = _NoticeBar()
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        for widget in (self.toolbar, _hairline(), self._notice):
            column.addWidget(widget)
        column.addWidget(self.splitter, 1)
        column.addWidget(_hairline())
        column.addWidget(self.timeline)
        self.empty = EmptyState("view", "", "")
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
        self.toolbar.result_chosen.connect(self.presenter.select_result)
        self.toolbar.compared.connect(self._compare)
        self.toolbar.toggled.connect(self._toggle)
        self.toolbar.followed.connect(self._follow)
        self.views.looked.connect(self.viewport.look)
        self.views.framed.connect(self.viewport.frame_all)
        self.timeline.frame_changed.connect(self._show_frame)
        self._state.volume.changed.connect(self._volume_changed)
        self._state.volume.shown.connect(self._show_volume)
        self.volume.resized.connect(self._place_volume)
        self.volume.closed.connect(self._hide_volume)
        self.panes.images_changed.connect(self.viewport.invalidate)
        self.viewport.set_source(self._scene)
        theme_changed.connect(self._wear)

    def _take_changed(self) -> None:
        self._take_stale = True
        self._reload_if_seen()

    def _result_changed(self) -> None:
        self._result_stale = True
        self._reload_if_seen()

    def _reload_if_seen(self) -> None:
        if self.isVisible():
            self._reload()
        elif self._take_stale and self._state.session is None:
            self.panes.close_videos()

    def _reload(self) -> None:
        if self._take_stale or self.presenter.take is None:
            self._load_take()
        elif self._result_stale:
            self.presenter.load_result()
            self._show_result()
        self._take_stale = self._result_stale = False

    def _load_take(self) -> None:
        self.presenter.load_take()
        self.viewport.reframe()
        self.panes.show_take(self.presenter.take, self.presenter.timeline, self.presenter.overlay)
        self._show_result()

    def _show_result(self) -> None:
        """Everything that depends on the result; the frame stays."""
        presenter = self.presenter
        notice = presenter.notice
        blocked = notice is not None and notice.blocking
        if notice is not None and blocked:
            self.empty.show_message(notice.heading, notice.sentence)
        self._notice.show_message("" if notice is None or blocked else f"{notice.heading} {notice.sentence}")
        self.stack.setCurrentIndex(0 if blocked else 1)
        if not blocked and not self._divided:
            self._divided = True
            self.splitter.setSizes([round(self.width() * share) for share in _SHARES])
            self.figures.fold.setChecked(self.height() >= _ROOMY_PX)
        self.toolbar.show_state(presenter)
        self.timeline.show_model(presenter.timeline_model())
        self.figures.show_figures(presenter.figures)
        self._show_people()
        self._show_volume_panel()
        self._show_legend()
        self._show_everything()

    def _volume_changed(self) -> None:
        if not self.isVisible():
            self._result_stale = True
            return
        if self.presenter.notice is None:
            self.presenter.load_volume()
        else:
            self.presenter.load_result()  # what the notice says may have been mended
            self._show_result()
        self._show_volume_panel()
        self._show_everything()

    def _show_volume(self) -> None:
        """Somebody wants to see the capture volume."""
        self.toolbar.toggle_button("volume").setChecked(True)

    def _hide_volume(self) -> None:
        self.toolbar.toggle_button("volume").setChecked(False)

    def _show_volume_panel(self) -> None:
        shown = self.presenter.options.volume and self.presenter.has_rig
        if shown:
            self.volume.refresh()
        self.volume.setVisible(shown)

    def _show_legend(self) -> None:
        reliability = self.presenter.reliability
        self.legend.show_levels(reliability.title, reliability.rows() if self.presenter.options.frusta else [])
        self._place_legend()

    def _place_legend(self) -> None:
        self.legend.move(self.viewport.width() - self.legend.width() - _MARGIN_PX, _MARGIN_PX)

    def _place_volume(self) -> None:
        self.volume.move(_MARGIN_PX, self.viewport.height() - self.volume.height() - _MARGIN_PX)

    def _show_everything(self) -> None:
        self.panes.refresh_overlays()
        self._show_frame(self.timeline.frame)

    def _show_frame(self, frame: int) -> None:
        if self.presenter.take is None:
            return
        self.panes.show_frame(frame)
        self.viewport.invalidate()
        self._show_people()

    def _scene(self) -> SceneLayers:
        return self.presenter.scene(self.timeline.frame, self._palette, self.panes.images())

    def _show_people(self) -> None:
        people = self.presenter.people_now(self.timeline.frame)
        self.people.setVisible(bool(people))
        self.people.show_people(people)

    def _toggle(self, index: int, on: bool) -> None:
        presenter, toggle = self.presenter, TOGGLES[index]
        if toggle.over_video:
            presenter.pane_options = replace(presenter.pane_options, **{toggle.name: on})
        else:
            presenter.options = replace(presenter.options, **{toggle.name: on})
        if toggle.name == "skeletons":
            presenter.pane_options = replace(presenter.pane_options, skeletons=on)
        if toggle.name == "volume":
            self._show_volume_panel()
        if toggle.name == "frusta":
            self._show_legend()
        self.panes.refresh_overlays()
        self.viewport.invalidate()

    def _compare(self, name: str) -> None:
        self.presenter.compare_with(name)
        self._show_result()

    def _follow(self, person: int | None) -> None:
        self.presenter.options = replace(self.presenter.options, follow=person)
        self.viewport.invalidate()

    def _wear(self, theme: Theme) -> None:
        self._palette = palette(theme)
        self.viewport.invalidate()

    def sizeHint(self) -> QSize:
        """As much as there is."""
        return QSize(1100, 700)


class _NoticeBar(QFrame):
    """A line under the toolbar that says what is missing and how to get it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "inset")
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 6, 12, 6)
        row.setSpacing(GRID_PX)
        row.addWidget(IconLabel("info", "accent", 16))
        self._words = label()
        row.addWidget(self._words, 1)
        self.hide()

    @property
    def text(self) -> str:
        """The words shown."""
        return self._words.text()

    def show_message(self, words: str) -> None:
        """Shows the words; hides the bar without any."""
        self._words.setText(words)
        self.setVisible(bool(words))


def _hairline() -> QFrame:
    line = QFrame()
    line.setProperty("role", "line")
    return line
