"""Train page: the steps from footage to 3D, live losses, and the comparison of the methods."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QCheckBox, QGridLayout, QVBoxLayout, QWidget

from core.errors import CoreError
from studio.jobs.tracked import TrackedJob
from studio.pages.train import presenter
from studio.pages.train.comparison_card import ComparisonCard
from studio.pages.train.consent_dialog import ConsentDialog
from studio.pages.train.step_widget import StepWidget
from studio.pages.train.training_card import TrainingCard
from studio.shell.dialogs import show_error_dialog
from studio.shell.repair import RepairOffer, load_offer, start_repair
from studio.shell.replace_dialog import ask_to_replace
from studio.shell.starting import start_job
from studio.shell.updating import UPDATE_TIP, start_update
from studio.specs import StepView
from studio.state.app_state import AppState
from studio.state.steps import take_steps
from studio.theme import GRID_PX
from studio.volume.editor import VolumeEditor
from studio.widgets.buttons import ReasonButton, button, set_blocked
from studio.widgets.card import Card, clear_layout, separator
from studio.widgets.choice import Choice
from studio.widgets.columns import Columns
from studio.widgets.page.banner import Banner
from studio.widgets.page.scroll_page import ScrollPage
from studio.widgets.text import make_label, set_role


class TrainPage(ScrollPage):
    """Train page.

    Args:
        state: Selection of the window.
        parent: Owner.
    """

    def __init__(self, state: AppState, parent: QWidget | None = None) -> None:
        super().__init__("Train", "From footage to 3D, step by step or all at once.", parent)
        self._state = state
        self._offer: RepairOffer | None = None
        self._shown_step: tuple[str, int, int] | None = None
        self.run_all = ReasonButton(
            button(
                "Run all steps",
                "primary",
                "forward",
                "From 2D poses and training to bodies and exported files",
            )
        )
        self.run_all.push.clicked.connect(self.run_all_steps)
        self.bring_up_to_date = button("Bring up to date", "normal", "retry", UPDATE_TIP)
        self.bring_up_to_date.clicked.connect(lambda: start_update(self._state, self.window()))
        self.tools.addWidget(self.bring_up_to_date)
        self.tools.addWidget(self.run_all)
        self.repair_notice = Banner()
        self.repair_notice.requested.connect(self._repair)
        self.repair_first = QCheckBox("Repair the cameras first when all steps run")
        self.repair_first.setToolTip(
            "Run all steps repairs or synchronises the cameras before training (run --repair-rig)"
        )
        self.content.addWidget(self.repair_notice)
        self.content.addWidget(self.repair_first)
        self.columns = Columns(breakpoint_px=860, stretch=(3, 5))
        self.content.addWidget(self.columns, 1)
        self.columns.left.addWidget(self._steps_card())
        self.columns.left.addWidget(self._settings_card())
        self.columns.left.addWidget(self._volume_card())
        self.columns.left.addStretch(1)
        self.evaluation, self.training = ComparisonCard(state), TrainingCard(state)
        self.training.shown.connect(self._put_training_first)
        self.columns.right.addWidget(self.evaluation)
        self.columns.right.addWidget(self.training)
        self.columns.right.addStretch(1)
        self.estimator.currentIndexChanged.connect(self._estimator_chosen)
        self.preset.currentIndexChanged.connect(self._preset_chosen)
        state.volume.changed.connect(self._volume_changed)
        jobs = state.jobs
        jobs.changed.connect(self._job_changed)
        jobs.active_changed.connect(self._active_changed)
        self.refresh_when_visible(state.content_changed)

    def act(self, action: str) -> None:
        """Execute an action of the menu."""
        if action == "train.run_all":
            self.run_all_steps()

    def why_not(self, action: str) -> str:
        """Return why an action of the menu is blocked; empty if it is available."""
        return self._run_all_blocked()

    def run_all_steps(self) -> None:
        """Run all steps on the selected take as one job."""
        take, session = self._state.take_name, self._state.session
        repair = self._offer is not None and self.repair_first.isChecked()
        params = presenter.run_params(
            take,
            self.estimator.currentData(),
            self.preset.currentData(),
            self.input_size.currentData(),
            repair_rig=repair,
        )
        start = partial(self._start, "run", params, f"Run all steps: {take}")
        if repair and session is not None:
            ask_to_replace(session, "Run all steps", self.window(), start)
        else:
            start()

    def run_step(self, step: presenter.Step) -> None:
        """Run one step as a job; ask first if its model must be downloaded."""
        takes = self.training_takes()
        if step.name == "train" and not takes:
            show_error_dialog(CoreError("No take is selected for training.", "Select at least one."), self.window())
            return
        missing = presenter.missing_model(self.estimator.currentData()) if step.name == "pose2d" else None
        if missing is not None:
            dialog = ConsentDialog(*missing, self.window())
            dialog.consented.connect(self._estimate_with)
            dialog.open()
            return
        take = self._state.take_name
        params = presenter.step_params(
            step.name,
            take,
            takes,
            self.estimator.currentData(),
            self.preset.currentData(),
            long_side_px=self.input_size.currentData(),
            networks=self.networks.currentData(),
            trained=take_steps(self._state)["train"].state in ("done", "outdated"),
        )
        on = ", ".join(takes) if step.name == "train" else take
        self._start(step.verb, params, f"{step.title}: {on}")

    def _estimate_with(self, allow_download: bool, model_file: str) -> None:
        """Estimate 2D poses with a downloaded model or a local file."""
        take, estimator = self._state.take_name, self.estimator.currentData()
        params = presenter.step_params(
            "pose2d",
            take,
            (),
            estimator,
            "",
            long_side_px=self.input_size.currentData(),
            allow_download=allow_download,
            model_file=model_file,
        )
        self._start("pose2d", params, f"2D poses: {take}")

    def training_takes(self) -> tuple[str, ...]:
        """Return the takes selected for training."""
        return tuple(name for name, box in self.take_boxes.items() if box.isChecked())

    def refresh(self) -> None:
        """Show the selected take on disk."""
        self._show_repair()
        self._show_takes()
        self._show_estimators()
        self._show_steps()
        self.evaluation.refresh()
        self._show_preset()
        self._show_input()
        self._volume_changed()

    def _steps_card(self) -> Card:
        card = Card("Steps")
        card.body.setSpacing(4)
        self.steps: dict[str, StepWidget] = {}
        for index, step in enumerate(presenter.STEPS):
            if index:
                card.body.addWidget(separator())
            widget = StepWidget(step)
            widget.push.clicked.connect(self._pressed)
            self.steps[step.name] = widget
            card.body.addWidget(widget)
        return card

    def _settings_card(self) -> Card:
        card = Card("Settings")
        grid = QGridLayout()
        grid.setHorizontalSpacing(2 * GRID_PX)
        grid.setVerticalSpacing(GRID_PX)
        grid.setColumnStretch(1, 1)
        self.estimator = Choice()
        for model in presenter.estimators():
            self.estimator.addItem(model.title, model.name)
            self.estimator.setItemData(self.estimator.count() - 1, model.purpose, Qt.ItemDataRole.ToolTipRole)
        self.input_size = Choice()
        for long_side_px, title in presenter.INPUT_SIZES.items():
            self.input_size.addItem(title, long_side_px)
        self.input_size.setToolTip(
            "Longer side to which images are scaled: larger for small people, but takes about four times as long"
        )
        self.input_chosen = make_label("", "small")
        self.preset = Choice()
        for name, preset in presenter.presets().items():
            self.preset.addItem(preset.title, name)
            self.preset.setItemData(self.preset.count() - 1, preset.what, Qt.ItemDataRole.ToolTipRole)
        self.networks = Choice()
        for name, title in presenter.NETWORKS.items():
            self.networks.addItem(title, name)
        self.networks.setToolTip("Networks for Infer and Evaluate. The shipped ones need no training.")
        fields = {
            0: ("2D estimator", self.estimator),
            1: ("2D input size", self.input_size),
            3: ("Preset", self.preset),
            6: ("Infer with", self.networks),
        }
        for row, (text, field) in fields.items():
            field.setAccessibleName(text)
            grid.addWidget(make_label(text, "muted", wrap=False), row, 0)
            grid.addWidget(field, row, 1)
        grid.addWidget(self.input_chosen, 2, 1)
        about = QVBoxLayout()
        about.setSpacing(2)
        self.preset_what, self.preset_time, self.preset_needs = (
            make_label("", "small"),
            make_label("", "small"),
            make_label(""),
        )
        for text_label in (self.preset_what, self.preset_time, self.preset_needs):
            about.addWidget(text_label)
        grid.addLayout(about, 4, 1)
        train_on = make_label("Train on", "muted", wrap=False)
        train_on.setMinimumHeight(3 * GRID_PX)
        grid.addWidget(train_on, 5, 0, Qt.AlignmentFlag.AlignTop)
        self._takes = QVBoxLayout()
        self._takes.setSpacing(4)
        self.take_boxes: dict[str, QCheckBox] = {}
        grid.addLayout(self._takes, 5, 1)
        card.body.addLayout(grid)
        return card

    def _volume_card(self) -> Card:
        card = Card("Capture volume")
        self.volume = VolumeEditor(self._state.volume)
        self.volume_reset = button("Reset", "normal", "retry")
        self.volume_reset.clicked.connect(self.volume.reset)
        self.volume_3d = button("Show in 3D", "normal", "volume", "Show the capture volume on the View page")
        self.volume_3d.clicked.connect(self._state.volume.shown)
        card.tools.addWidget(self.volume_reset)
        card.tools.addWidget(self.volume_3d)
        card.body.addWidget(self.volume)
        return card

    def _pressed(self) -> None:
        sender = self.sender()
        for widget in self.steps.values():
            if widget.push is sender:
                self.run_step(widget.step)
                return

    def _start(self, verb: str, params: object, title: str) -> None:
        start_job(self._state, self._state.session, verb, params, title, self.window())

    def _show_repair(self) -> None:
        """Show cameras that do not fit the people, because they degrade 3D poses and networks."""
        session = self._state.session
        self._offer = None if session is None else load_offer(session)
        self.repair_notice.setVisible(self._offer is not None)
        self.repair_first.setVisible(self._offer is not None)
        if self._offer is not None:
            self.repair_notice.show_sentence("warning", self._offer.message, self._offer.title, self._offer.tip)

    def _repair(self) -> None:
        if self._offer is not None:
            start_repair(self._state, self._offer, self.window())

    def _show_takes(self) -> None:
        session = self._state.session
        names = presenter.takes_of_people(session) if session is not None else []
        if names == list(self.take_boxes):
            return
        unticked = {name for name, box in self.take_boxes.items() if not box.isChecked()}
        clear_layout(self._takes)
        self.take_boxes = {}
        for name in names:
            box = QCheckBox(name)
            box.setChecked(name not in unticked)
            box.toggled.connect(self._volume_changed)
            self.take_boxes[name] = box
            self._takes.addWidget(box)

    def _show_estimators(self) -> None:
        """List imported 2D poses of the take with the estimators, and select them if there are no others."""
        try:
            take = self._state.take
        except CoreError:
            take = None  # the steps report the problem
        imported = presenter.imported_choices(take)
        known = len(presenter.estimators())
        offered = [self.estimator.itemData(row) for row in range(known, self.estimator.count())]
        if offered == imported:
            return
        chosen = self.estimator.currentData()
        while self.estimator.count() > known:
            self.estimator.removeItem(known)
        for name in imported:
            self.estimator.addItem(f"Imported: {name}", name)
            self.estimator.setItemData(
                self.estimator.count() - 1, "2D poses of another program", Qt.ItemDataRole.ToolTipRole
            )
        only = take is not None and bool(imported) and set(take.estimators()) == set(imported)
        row = self.estimator.findData(imported[0] if only else chosen)
        self.estimator.setCurrentIndex(max(row, 0))

    def _preset_chosen(self) -> None:
        self._show_preset()
        self._volume_changed()

    def _show_input(self) -> None:
        """Show the input size of the stored 2D poses, and enable the choice if the estimator allows it."""
        estimator = self.estimator.currentData()
        self.input_size.setEnabled(presenter.input_is_free(estimator))
        try:
            text = presenter.input_text(self._state.take, estimator)
        except CoreError:
            text = ""  # the steps report the problem
        self.input_chosen.setText(text)
        self.input_chosen.setVisible(bool(text))

    def _show_preset(self) -> None:
        """Show the description of the selected preset."""
        text = presenter.describe_preset(self.preset.currentData(), self._state.jobs)
        self.preset_what.setText(text.what)
        self.preset_time.setText(text.time)
        self.preset_needs.setText(text.needs)
        self.preset_needs.setVisible(bool(text.needs))
        set_role(self.preset_needs, "warn" if text.unmet else "small")

    def _volume_changed(self) -> None:
        """Show the capture volume of the selected takes and preset, if the page is visible."""
        if self._state.session is None or not self.isVisible():
            return
        spacing_mm = presenter.spacing_mm(self.preset.currentData())
        self._state.volume.set_inputs(self.training_takes(), spacing_mm)
        self.volume.refresh()
        self.volume_reset.setEnabled(self._state.volume.is_set)
        tip = (
            "Reset to the volume derived from rig and people"
            if self._state.volume.is_set
            else "Already derived from rig and people"
        )
        self.volume_reset.setToolTip(tip)
        self.volume_3d.setEnabled(self._state.volume.has_rig)

    def _show_steps(self) -> None:
        try:
            steps, take = take_steps(self._state), self._state.take
        except CoreError as error:
            steps, take = {step.name: StepView("blocked", error.message) for step in presenter.STEPS}, None
        for row in presenter.step_rows(steps, self._state.jobs, take, self.estimator.currentData()):
            self.steps[row.step.name].show_row(row)
        self.run_all.set_blocked(self._run_all_blocked())
        self.bring_up_to_date.setVisible(presenter.is_outdated(steps))
        set_blocked(self.bring_up_to_date, self._state.jobs.why_not(), UPDATE_TIP)
        self.training.show_job()

    def _run_all_blocked(self) -> str:
        """Return why running all steps is blocked; empty if it is not."""
        session = self._state.session
        if session is None or not session.layout.rig.exists():
            return "Calibrate first."
        if not self._state.take_name:
            return "Import videos first."
        missing = presenter.missing_model(self.estimator.currentData())
        if missing is not None:
            return f"Run 2D poses first to download {missing[0].title}."
        try:
            return presenter.take_problem(self._state.take) or self._state.jobs.why_not()
        except CoreError as error:
            return error.message

    def _active_changed(self) -> None:
        if self.isVisible():
            self._show_steps()

    def _estimator_chosen(self) -> None:
        self._show_steps()
        self._show_input()

    def _job_changed(self, tracked: TrackedJob) -> None:
        if tracked.step != self._shown_step:  # a job of several steps has reached another one
            self._shown_step = tracked.step
            self._show_steps()
        if not tracked.active:
            self._show_preset()  # the duration is now known

    def _put_training_first(self) -> None:
        """Show a running training above the last evaluation, so that it is visible."""
        layout, top = self.columns.right, self.training if self.training.running else self.evaluation
        if layout.indexOf(top) != 0:
            layout.insertWidget(0, top)
