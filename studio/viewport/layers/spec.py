"""Types of the layer table: toggles, the options of a view, and the specification of a layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar

from core.types.arrays import F64, U8
from studio.viewport.palette import Palette
from studio.viewport.scene_data import SceneData

Section = Literal["People", "Scene", "Videos"]
"""Sections of the menu of toggles, in order."""
LayerT = TypeVar("LayerT")
LayerT_contra = TypeVar("LayerT_contra", contravariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class DisplayOption:
    """Toggle of the View page. The menu lists all; those of the 3D view that are on by default also have a button.

    Attributes:
        name: Key in `ViewOptions`; unique.
        label: Text in the tooltip, in the menu and in the list of shortcuts.
        icon: File name in `resources/icons`.
        shortcut: Letter that toggles the option on the View page; may be empty.
        default: Initial state.
        section: Section of the menu.
    """

    name: str
    label: str
    icon: str
    shortcut: str = ""
    default: bool = True
    section: Section = "Scene"


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewOptions:
    """User settings of a 3D view.

    Attributes:
        overrides: State by option name, for options that differ from their default.
        follow: Id of the person that the view follows, or None.
        trail_s: Length of the trails in seconds.
        through: Camera that the view looks through; empty for none.
        handles: Show handles to drag the faces of the capture volume.
    """

    overrides: Mapping[str, bool] = field(default_factory=dict)
    follow: int | None = None
    trail_s: float = 1.5
    through: str = ""
    handles: bool = False

    def shows(self, option: DisplayOption) -> bool:
        """Return True if an option is on."""
        return self.overrides.get(option.name, option.default)

    def with_option(self, option: DisplayOption, on: bool) -> ViewOptions:
        """Return a copy with an option switched on or off."""
        return dataclasses.replace(self, overrides={**self.overrides, option.name: on})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SceneFrame:
    """One frame of a scene, the second argument of every builder.

    Attributes:
        options: Settings of the view.
        palette: Colours.
        pose_frame: Frame index in the result, or None if the result has none at this time.
        ghost_frame: Frame index in the compared result, or None.
        body_frame: Frame index in the bodies, or None.
        board_frame: Frame index in the board recording, or None.
        images: (H, W, 3) uint8 RGB images by camera name; cameras without an image are missing.
    """

    options: ViewOptions
    palette: Palette
    pose_frame: int | None = None
    ghost_frame: int | None = None
    body_frame: int | None = None
    board_frame: int | None = None
    images: Mapping[str, U8] = field(default_factory=dict)


class LayerVisual(Protocol[LayerT_contra]):
    """Drawing of one layer. Created once per canvas, then updated with each new layer object."""

    def show(self, layer: LayerT_contra) -> None:
        """Replace the content of the layer."""

    def hide(self) -> None:
        """Draw nothing until the next `show`."""


def _always(data: SceneData) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSpec(Generic[LayerT]):
    """Specification of a layer of the 3D view.

    Attributes:
        name: Key in `SceneLayers.layers`; unique.
        layer: Type of the layer model.
        build: Pure function from scene data and frame to the layer, or None if there is nothing to draw. It returns
            the same object while nothing changes, so that the layer is not uploaded again.
        visual: Creates the drawing under a parent scene node. Imports OpenGL only when called.
        option: Toggle that shows or hides the layer.
        requires: Further toggles that must be on.
        modifiers: Toggles that change the content of the layer.
        available: Returns True if the scene data can fill the layer; the toolbar hides toggles without any such layer.
        extent: (N, 3) points of the layer that "Frame all" brings into view, beyond cameras and people.
    """

    name: str
    layer: type[LayerT]
    build: Callable[[SceneData, SceneFrame], LayerT | None]
    visual: Callable[[Any], LayerVisual[LayerT]]
    option: DisplayOption
    requires: tuple[DisplayOption, ...] = ()
    modifiers: tuple[DisplayOption, ...] = ()
    available: Callable[[SceneData], bool] = _always
    extent: Callable[[LayerT], F64] | None = None

    def visible(self, options: ViewOptions) -> bool:
        """Return True if the toggles show the layer."""
        return all(options.shows(option) for option in (self.option, *self.requires))
