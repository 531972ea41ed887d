"""Access units of H.264 and H.265 streams: the packets of one image."""

from __future__ import annotations

import re
from collections.abc import Iterator

import av

_START = re.compile(b"\x00\x00\x01")
_CODECS = ("h264", "hevc")


def splits_images(context: av.VideoCodecContext) -> bool:
    """Return whether packets of a stream may contain parts of images: H.264 or H.265 with start codes (Annex B)."""
    return context.name in _CODECS and not (context.extradata or b"").startswith(b"\x01")


def whole_images(packets: Iterator[av.Packet], codec: str) -> Iterator[av.Packet]:
    """Join packets that belong to the same image.

    FFmpeg begins a new packet at parameter sets, which some cameras repeat before every slice of a key frame. Key
    frames are therefore held back until the next packet arrives. A packet whose beginning is missing is marked as
    corrupt.

    Args:
        packets: Packets of one stream.
        codec: Name of its codec: "h264" or "hevc".
    """
    held: av.Packet | None = None
    for packet in packets:
        later_part = packet.is_keyframe and _continues(bytes(packet), codec)
        if later_part and held is not None:
            held = _joined(held, packet)
            continue
        if held is not None:
            yield held
        if later_part:
            packet.is_keyframe, packet.is_corrupt = False, True
        held = packet if packet.is_keyframe and packet.size else None
        if held is None:
            yield packet
    if held is not None:
        yield held


def _continues(data: bytes, codec: str) -> bool:
    """Return whether the first slice of a packet is not the first of its image."""
    for found in _START.finditer(data):
        at = found.end()
        # The first bit after the header of a slice is set in the first slice of an image: in H.264 it is the number of
        # the slice's first macroblock, an Exp-Golomb code, which is a single set bit for 0.
        after = at + (1 if codec == "h264" else 2)
        if after >= len(data):
            return False
        is_slice = data[at] & 31 in (1, 5) if codec == "h264" else data[at] >> 1 & 63 < 32
        if is_slice:
            return not data[after] & 128
    return False


def _joined(first: av.Packet, second: av.Packet) -> av.Packet:
    """Return a packet with the data of both, and the times of the first."""
    joined = av.Packet(bytes(first) + bytes(second))
    joined.stream, joined.time_base = first.stream, first.time_base
    joined.pts, joined.dts = first.pts, first.dts
    joined.is_keyframe, joined.is_corrupt = True, first.is_corrupt or second.is_corrupt
    return joined
