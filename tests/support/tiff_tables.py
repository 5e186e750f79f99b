"""TIFF files with tags that no library writes."""

from __future__ import annotations

import struct


def with_tags(content: bytes, *tags: tuple[int, int, int, int]) -> bytes:
    """A little-endian TIFF file with further tags (number, type, count, value), in a table at its end."""
    start = struct.unpack_from("<I", content, 4)[0]
    count = struct.unpack_from("<H", content, start)[0]
    table = {
        struct.unpack_from("<H", content, at)[0]: content[at : at + 12]
        for at in range(start + 2, start + 2 + 12 * count, 12)
    }
    table |= {tag[0]: struct.pack("<HHII", *tag) for tag in tags}
    content += bytes(len(content) % 2)
    entries = b"".join(table[number] for number in sorted(table))
    return (
        content[:4] + struct.pack("<I", len(content)) + content[8:] + struct.pack("<H", len(table)) + entries + bytes(4)
    )
