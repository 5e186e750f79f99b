"""Options that lie over a preset are declared once, in the preset's dataclass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest
import tyro

from mofa3d.cli.overrides import apply_overrides, overrides_of


@dataclass(frozen=True)
class Oven:
    """How to bake.

    Attributes:
        degrees: of the air.
        program: what heats.
        fan: blow it about.
        light: inside.
    """

    degrees: int = 180
    program: Literal["both", "top"] = "both"
    fan: bool = False
    light: bool = True


Given = overrides_of(Oven, ("degrees", "program", "fan"))


@dataclass(frozen=True)
class Options(Given):
    """What a program takes."""

    cake: str = "plain"
    """Which one."""


def test_what_is_left_out_is_the_presets():
    preset = Oven(200, "top", fan=True)
    assert apply_overrides(preset, Options()) == preset


def test_what_is_given_replaces_it_even_by_nothing():
    options = tyro.cli(Options, args=["--degrees", "0", "--fan", "--cake", "rich"])
    assert options == Options(degrees=0, fan=True, cake="rich")
    assert apply_overrides(Oven(200, "top"), options) == Oven(0, "top", fan=True)


def test_types_are_the_dataclass_own():
    with pytest.raises(SystemExit):
        tyro.cli(Options, args=["--program", "bottom"], console_outputs=False)


def test_help_is_the_dataclass_own(capsys):
    with pytest.raises(SystemExit):
        tyro.cli(Options, args=["--help"])
    text = capsys.readouterr().out
    assert "of the air." in text
    assert "Which one." in text
    assert "--no-fan" not in text
    assert "--light" not in text
