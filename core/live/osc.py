"""Open Sound Control 1.0: messages and bundles as UDP packets.

Limited to the needs of the VMC protocol: strings, 32-bit integers, floats, and bundles without time tag.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

Argument = str | int | float
_IMMEDIATELY = struct.pack(">Q", 1)


def osc_message(address: str, *arguments: Argument) -> bytes:
    """Encode a message.

    Args:
        address: Address pattern, such as "/VMC/Ext/OK".
        arguments: Strings, integers that fit into 32 bits, and floats.
    """
    tags, data = ",", b""
    for value in arguments:
        if isinstance(value, str):
            tags, data = tags + "s", data + _text(value)
        elif isinstance(value, int):
            tags, data = tags + "i", data + struct.pack(">i", value)
        else:
            tags, data = tags + "f", data + struct.pack(">f", value)
    return _text(address) + _text(tags) + data


def osc_bundle(messages: Sequence[bytes]) -> bytes:
    """Encode messages as a bundle that takes effect at once."""
    return _text("#bundle") + _IMMEDIATELY + b"".join(struct.pack(">i", len(m)) + m for m in messages)


def _text(value: str) -> bytes:
    """Return a zero-terminated string padded to a multiple of four bytes."""
    encoded = value.encode()
    return encoded + b"\0" * (4 - len(encoded) % 4)
