"""Folders' names for files of any name."""

from __future__ import annotations

import os

import pytest

from mofa3d.files.names import LONGEST, printable, safe_name


def test_plain_names_stay():
    assert [safe_name(name) for name in ("Ann_Lee_0001", "ein Gesicht ü 顔", "a.b", "x-2")] == [
        "Ann_Lee_0001", "ein Gesicht ü 顔", "a.b", "x-2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("../../etc/passwd", "_.._etc_passwd"),
        ("..", "photo"),
        ("", "photo"),
        (" . ", "photo"),
        ("/etc", "_etc"),
        ("C:\\x", "C__x"),
        ("a\nb\x1b[31m\x00", "a_b_[31m_"),
        (os.fsdecode(b"caf\xe9"), "caf_"),
        ("a\u202eb", "a_b"),  # turns the direction of what follows
        (".hidden", "hidden"),
        ("end. ", "end"),
        ("CON", "_CON"),
        ("lpt1.x", "_lpt1.x"),
    ],
)
def test_awkward_names(name, expected):
    assert safe_name(name) == expected


def test_long_names_are_cut_between_letters():
    assert safe_name("x" * 300) == "x" * LONGEST
    assert safe_name("顔" * 300) == "顔" * (LONGEST // 3)


def test_printable_text_is_one_line():
    assert printable("no face in a\nb\x1b.jpg") == r"no face in a\nb\x1b.jpg"
    assert printable(os.fsdecode(b"\xe9.jpg")) == r"\udce9.jpg"
    assert printable("ü 顔.jpg") == "ü 顔.jpg"
