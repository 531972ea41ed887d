"""Pages of the window, built one after the other while the window is usable."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from PySide6.QtWidgets import QStackedWidget, QWidget

from studio.background import Background
from studio.specs import PageSpec
from studio.state.app_state import AppState


class LazyPages(Mapping[str, QWidget]):
    """Pages by name; a page that is accessed early is built immediately.

    Args:
        specs: The pages in order.
        state: Selection of the window.
        stack: Widget that receives the pages.
        built: Function called with each new page.

    Attributes:
        made: Pages built so far, by name.
    """

    def __init__(
        self,
        specs: Sequence[PageSpec],
        state: AppState,
        stack: QStackedWidget,
        built: Callable[[PageSpec, QWidget], None],
    ) -> None:
        self.made: dict[str, QWidget] = {}
        self._specs = {spec.name: spec for spec in specs}
        self._state, self._stack, self._built = state, stack, built
        self._waiting: list[Callable[[], object]] = []
        self._background = Background(stack)

    def __getitem__(self, name: str) -> QWidget:
        if name not in self.made:
            page = self.made[name] = self._specs[name].make(self._state)
            self._stack.addWidget(page)
            self._built(self._specs[name], page)
        return self.made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._specs)

    def __len__(self) -> int:
        return len(self._specs)

    def build(self) -> None:
        """Build the pages, one per event-loop iteration; their modules are imported in a thread."""
        missing = next((spec for spec in self._specs.values() if spec.name not in self.made), None)
        if missing is not None:
            module = missing.factory.partition(":")[0]
            self._background.run(partial(importlib.import_module, module), partial(self._imported, missing.name))
            return
        waiting, self._waiting = self._waiting, []
        for task in waiting:
            task()

    def complete(self) -> None:
        """Build all remaining pages immediately."""
        for name in self:
            self[name]

    def when_complete(self, task: Callable[[], object]) -> None:
        """Call a function once all pages are built."""
        if len(self.made) == len(self):
            task()
        else:
            self._waiting.append(task)

    def stop(self) -> None:
        """Stop building pages."""
        self._background.drop()
        self._waiting.clear()

    def _imported(self, name: str, _module: object) -> None:
        self[name]
        self.build()
