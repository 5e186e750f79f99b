"""Names of folders for files of any name: portable, short, each its own, and never a way out of the folder above."""

from __future__ import annotations

import unicodedata

LONGEST = 80  # bytes in UTF-8: with a number it stays below every file system's limit
RESERVED = frozenset('<>:"/\\|?*')  # what Windows refuses
DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}  # to Windows
NAMELESS = "photo"


def safe_name(name: str) -> str:
    """One part of a path that every system takes: what is not printable or has a meaning to it becomes ``_``."""
    letters = (c if c.isprintable() and c not in RESERVED else "_" for c in unicodedata.normalize("NFC", name))
    plain = "".join(letters).encode("utf-8")[:LONGEST].decode("utf-8", errors="ignore")
    plain = plain.strip(" .")  # hidden, "..", and what Windows cuts off
    if plain.split(".")[0].casefold() in DEVICES:
        plain = f"_{plain}"
    return plain or NAMELESS


def printable(text: str) -> str:
    """Text that shows as one line on every terminal, with what is not printable as escapes."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
