"""Printable boards (PDF) and boards for screens (PNG)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from core.board.pattern import Board
from core.disk import replacing
from core.errors import CoreError
from core.types.arrays import U8

PAPERS_MM: dict[str, tuple[float, float]] = {
    "a4": (210, 297),
    "letter": (215.9, 279.4),
    "a3": (297, 420),
    "tabloid": (279.4, 431.8),
    "a2": (420, 594),
    "a1": (594, 841),
    "a0": (841, 1189),
}
_MARGIN_MM = 12.0  # around the pattern, for the printer and for the ruler
_RULER_MM = 100.0  # length of the printed ruler
_BIT_PX = 8  # least size of a marker's bit in a PNG
_SQUARE_PX = 60  # least size of a square in a PNG
Rectangle = tuple[float, float, float, float]


def rectangles_mm(board: Board, back: bool = False) -> list[Rectangle]:
    """Return the dark rectangles (x, y, width, height) of one side, in mm from its top left, y down."""
    import cv2

    if board.kind == "chessboard":
        return _squares(board, 0)
    out = _squares(board, int(board.legacy and board.rows % 2 == 0)) if board.kind == "charuco" else []
    if board.kind == "aprilgrid":
        gap = _joint_mm(board)
        corners = [(c, r) for r in range(board.rows + 1) for c in range(board.columns + 1)]
        out = [(c * board.square_mm, r * board.square_mm, gap, gap) for c, r in corners]
    begin = board.markers_per_side if back and board.back == "numbered" else 0
    family = board.markers()
    bits = family.markerSize + 2 * board.border_bits
    step = board.marker_mm / bits
    places = board.marker_position(np.arange(board.markers_per_side))
    for number, place in enumerate(places):
        left, top = np.asarray(board.pattern().getObjPoints()[place], float)[:, :2].min(0) + _joint_mm(board)
        image = cv2.aruco.generateImageMarker(family, begin + number, bits, borderBits=board.border_bits)
        for y, row in enumerate(image < 128):
            edges = np.flatnonzero(np.diff(np.concatenate([[False], row, [False]]).astype(int)))
            out += [
                (float(left + b * step), float(top + y * step), float((e - b) * step), step)
                for b, e in zip(edges[::2], edges[1::2], strict=True)
            ]
    if back and board.back == "mirrored":
        out = [(board.width_mm - x - w, y, w, h) for x, y, w, h in out]
    return out


def _joint_mm(board: Board) -> float:
    """Return the side of the small squares around an AprilGrid; 0 for other boards."""
    return board.square_mm - board.marker_mm if board.kind == "aprilgrid" else 0.0


def _squares(board: Board, first: int) -> list[Rectangle]:
    side = board.square_mm
    rows, columns = np.nonzero((np.indices((board.rows, board.columns)).sum(0) + first) % 2 == 0)
    return [(float(c * side), float(r * side), side, side) for r, c in zip(rows, columns, strict=True)]


def size_mm(board: Board) -> tuple[float, float]:
    """Return the outer width and height of the print."""
    if board.kind == "chessboard":
        return board.columns * board.square_mm, board.rows * board.square_mm
    around = 2 * _joint_mm(board)
    return board.width_mm + around, board.height_mm + around


def save_sheet(board: Board, path: Path, paper: str = "auto") -> tuple[Path, ...]:
    """Write a board for printing (.pdf: true size, one page per side, with a ruler) or for a screen (.png).

    Returns:
        The files written; a two-sided board makes two PNGs.

    Raises:
        CoreError: Neither .pdf nor .png, or the board is larger than the paper.
    """
    if path.suffix.lower() == ".pdf":
        _pdf(board, path, paper)
        return (path,)
    if path.suffix.lower() == ".png":
        return _png(board, path)
    raise CoreError(
        f"{path.name} is neither a PDF nor a PNG.", "Use a name ending in .pdf for printing or .png for a screen."
    )


def paper_for(board: Board, paper: str = "auto") -> tuple[str, tuple[float, float]]:
    """Return the name and the size in mm (width, height) of a paper that the board fits, portrait or landscape.

    Raises:
        CoreError: The board fits no paper, or not the given one.
    """
    wide, high = (side + 2 * _MARGIN_MM for side in size_mm(board))
    names = [n for n in PAPERS_MM if n not in ("letter", "tabloid")] if paper == "auto" else [paper]
    for name in names:
        for size in (PAPERS_MM[name], PAPERS_MM[name][::-1]):
            if wide <= size[0] and high <= size[1]:
                return name, size
    raise CoreError(
        f"The board of {size_mm(board)[0]:g} x {size_mm(board)[1]:g} mm does not fit"
        f" {'any paper' if paper == 'auto' else paper.upper()}.",
        "Choose smaller or fewer squares, or a larger sheet.",
    )


def _sides(board: Board) -> tuple[bool, ...]:
    return (False, True) if board.back in ("mirrored", "numbered") else (False,)


def _pdf(board: Board, path: Path, paper: str) -> None:
    from reportlab.lib.units import mm
    from reportlab.pdfgen.canvas import Canvas

    _, (width, height) = paper_for(board, paper)
    wide, high = size_mm(board)
    left, top = (width - wide) / 2, (height - high) / 2
    dark, light = (1.0, 0.0) if board.inverted else (0.0, 1.0)
    with replacing(path) as temporary:
        canvas = Canvas(str(temporary), pagesize=(width * mm, height * mm))
        canvas.setTitle(board.title)
        for back in _sides(board):
            canvas.setFillGray(light)
            canvas.rect(0, 0, width * mm, height * mm, stroke=0, fill=1)
            canvas.setFillGray(dark)
            shape = canvas.beginPath()
            for x, y, w, h in rectangles_mm(board, back):
                shape.rect((left + x) * mm, (height - top - y - h) * mm, w * mm, h * mm)
            canvas.drawPath(shape, stroke=0, fill=1)
            _ruler(canvas, board, width)
            canvas.showPage()
        canvas.save()


def _ruler(canvas: Any, board: Board, width: float) -> None:
    """Draw a line of known length at the foot of the page, because printers tend to shrink pages."""
    from reportlab.lib.units import mm

    y, length = 4.0, min(_RULER_MM, np.floor((width - 2 * _MARGIN_MM) / 10) * 10)
    canvas.setStrokeGray(1.0 if board.inverted else 0.0)
    canvas.setLineWidth(0.4)
    canvas.line(_MARGIN_MM * mm, y * mm, (_MARGIN_MM + length) * mm, y * mm)
    for tick in np.arange(0, length + 1, 10):
        x = (_MARGIN_MM + tick) * mm
        canvas.line(x, y * mm, x, (y + (3.0 if tick % 50 == 0 else 1.6)) * mm)
    canvas.setFont("Helvetica", 5.5)
    canvas.drawString(
        (_MARGIN_MM + length + 3) * mm, (y + 2.4) * mm, f"{length:.0f} mm. Print at 100 % and measure it."
    )
    canvas.drawString((_MARGIN_MM + length + 3) * mm, y * mm, board.title)


def render_board(board: Board, *, back: bool = False) -> U8:
    """Render one side as an (H, W) image of 0 and 255 with a margin of half a square."""
    per_mm = _SQUARE_PX / board.square_mm
    if board.kind != "chessboard":
        per_mm = max(per_mm, _BIT_PX * (board.markers().markerSize + 2 * board.border_bits) / board.marker_mm)
    wide, high = (round(side * per_mm) for side in size_mm(board))
    dark = np.zeros((high, wide), bool)
    for x, y, w, h in rectangles_mm(board, back):
        x0, y0, x1, y1 = (round(v * per_mm) for v in (x, y, x + w, y + h))
        dark[y0:y1, x0:x1] = True
    shown = np.pad(dark, round(board.square_mm * per_mm / 2)) == board.inverted
    return np.asarray(shown, np.uint8) * np.uint8(255)


def _png(board: Board, path: Path) -> tuple[Path, ...]:
    import cv2

    written = []
    for back in _sides(board):
        target = path.with_stem(f"{path.stem}_back") if back else path
        ok, data = cv2.imencode(".png", render_board(board, back=back))
        if not ok:
            raise CoreError(f"{target.name} could not be written as a PNG.", "Choose smaller squares.")
        with replacing(target) as temporary:
            temporary.write_bytes(data.tobytes())
        written.append(target)
    return tuple(written)
