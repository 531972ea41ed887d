"""Layout of several images in one."""

from __future__ import annotations

from typing import NamedTuple


class Place(NamedTuple):
    """Rectangle in px."""

    left: int
    top: int
    width: int
    height: int


def tile(area: Place, shapes: list[tuple[int, int]], gap_px: int = 0) -> list[Place]:
    """Tile an area with boxes of equal size, in the number of columns that makes the images largest.

    Args:
        area: Available area; the boxes are centred in it.
        shapes: Width and height of each image, at least one; the boxes have the widest aspect ratio.
        gap_px: Space between boxes.
    """
    count = len(shapes)
    aspect = max(width / height for width, height in shapes)

    def box_width(columns: int) -> float:
        rows = -(-count // columns)
        width = (area.width - gap_px * (columns - 1)) / columns
        height = (area.height - gap_px * (rows - 1)) / rows
        return max(1.0, min(width, height * aspect))

    columns = max(range(1, count + 1), key=box_width)
    rows = -(-count // columns)
    width, height = int(box_width(columns)), int(box_width(columns) / aspect)
    left = area.left + (area.width - columns * width - (columns - 1) * gap_px) // 2
    top = area.top + (area.height - rows * height - (rows - 1) * gap_px) // 2
    return [
        Place(left + (i % columns) * (width + gap_px), top + (i // columns) * (height + gap_px), width, height)
        for i in range(count)
    ]


def beside(size_px: tuple[int, int], shapes: list[tuple[int, int]], gap_px: int) -> tuple[Place, list[Place]]:
    """Divide an image between a view and camera images, to its right or below it, so that both are large.

    Args:
        size_px: Width and height of the entire image.
        shapes: Width and height of each camera's images, at least one.
        gap_px: Space between boxes, and around the images.

    Returns:
        Rectangle of the view, and boxes of the images.
    """
    width, height = size_px
    best, chosen = 0.0, (Place(0, 0, width, height), tile(Place(0, 0, width, height), shapes))
    for share in range(20, 61, 2):
        right, below = width * share // 100, height * share // 100
        for view, area in (
            (Place(0, 0, width - right, height), Place(width - right, gap_px, right - gap_px, height - 2 * gap_px)),
            (Place(0, 0, width, height - below), Place(gap_px, height - below, width - 2 * gap_px, below - gap_px)),
        ):
            boxes = tile(area, shapes, gap_px)
            seen = sum(box.width * box.height for box in boxes) * min(view.width, view.height) ** 2
            if seen > best:
                best, chosen = seen, (view, boxes)
    return chosen


def fitted(shape: tuple[int, int], box: Place) -> Place:
    """Return the largest rectangle of an image's aspect ratio, centred in a box."""
    scale = min(box.width / shape[0], box.height / shape[1])
    width, height = max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))
    return Place(box.left + (box.width - width) // 2, box.top + (box.height - height) // 2, width, height)
