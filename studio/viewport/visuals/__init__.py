"""Drawing with OpenGL. Layer modules import this package; OpenGL is imported when a visual is created."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from studio.viewport.primitives import Capsules

LayerT = TypeVar("LayerT")


class NodeVisual(Generic[LayerT]):
    """Base of visuals: a few vispy nodes that are shown and hidden together.

    Args:
        nodes: Scene nodes.
    """

    def __init__(self, *nodes: Any) -> None:
        self._nodes = nodes

    def draw(self, layer: LayerT) -> None:
        """Upload a layer to the nodes."""
        raise NotImplementedError

    def show(self, layer: LayerT) -> None:
        """Replace the content of the layer."""
        self.draw(layer)
        for node in self._nodes:
            node.visible = True

    def hide(self) -> None:
        """Draw nothing until the next `show`."""
        for node in self._nodes:
            node.visible = False


class _CapsuleLayerVisual(NodeVisual[LayerT]):
    def __init__(self, node: Any, to_capsules: Callable[[LayerT], Sequence[Capsules]]) -> None:
        super().__init__(node)
        self._node, self._to_capsules = node, to_capsules

    def draw(self, layer: LayerT) -> None:
        self._node.set_capsules(*self._to_capsules(layer))


def capsule_visual(
    to_capsules: Callable[[LayerT], Sequence[Capsules]],
    *,
    order: int,
    shade: bool = False,
    sort: bool = False,
    flat: bool = False,
) -> Callable[[Any], NodeVisual[LayerT]]:
    """Return a factory of visuals for layers that consist of capsules only.

    Args:
        to_capsules: Pure function from the layer to its capsules.
        order: Drawing order; higher is later.
        shade: As for `CapsuleVisual`.
        sort: As for `CapsuleVisual`.
        flat: As for `CapsuleVisual`.
    """

    def create(parent: Any) -> NodeVisual[LayerT]:
        from studio.viewport.visuals.capsules import CapsuleNode

        node = CapsuleNode(shade=shade, sort=sort, flat=flat, parent=parent)
        node.order = order
        return _CapsuleLayerVisual(node, to_capsules)

    return create
