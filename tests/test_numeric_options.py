"""NaN, infinity and numbers beyond any use are refused where they come in, by every command, program and function."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field

import pytest
import torch
from tiny_model import make_code

from mofa3d.cli import main, program
from mofa3d.data.batches.augment import AugmentConfig
from mofa3d.data.corpus.config import PrepareConfig
from mofa3d.data.corpus.prune import Limits
from mofa3d.data.corpus.synthetic import SyntheticConfig
from mofa3d.editing import codes, lighting
from mofa3d.evaluation.comparison.run_config import RunConfig
from mofa3d.fitting.adam import FitConfig
from mofa3d.numeric_options import check_numbers, check_ranges
from mofa3d.objective import LossWeights
from mofa3d.pictures.model_preview import PreviewConfig
from mofa3d.reconstruction.options import OutputOptions
from mofa3d.training.mofa import TrainingConfig
from mofa3d.viewer.sliders import edited


def said(capsys) -> str:
    """What went to stderr, without the line breaks and the frame of boxes."""
    return " ".join(capsys.readouterr().err.replace("│", " ").replace("|", " ").split())


@dataclass(frozen=True)
class Inner:
    weight: float = 1.0


@dataclass(frozen=True)
class Options:
    rate: float | None = 0.1
    place: tuple[float, float] = (0.0, 0.0)
    inner: Inner = field(default_factory=Inner)
    table: dict[str, float] = field(default_factory=dict)
    seed: int = 0
    wanted: bool = True
    name: str = "nan"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options(rate=math.nan), "rate is nan; give a finite number"),
        (Options(place=(0.0, -math.inf)), "place is -inf"),
        (Options(inner=Inner(1e30)), r"weight is 1e\+30; give a finite number, at most 1e\+12 either way"),
        (Options(table={"jaw": math.inf}), "jaw is inf"),
        (Options(seed=2**63), r"seed is 9.22e\+18; give a number between -2⁶³ and 2⁶³"),
    ],
)
def test_numbers_of_any_option_are_finite(options, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        check_numbers(options)


def test_usual_options_pass():
    check_ranges(Options(rate=None, seed=2**63 - 1), rate=(0, 1), place=(0, 0), seed=(0, 2**63))


def test_numbers_outside_their_range_are_named():
    with pytest.raises(ValueError, match=r"^rate is 2; give a number from 0 to 1$"):
        check_ranges(Options(rate=2.0), rate=(0, 1))
    with pytest.raises(ValueError, match=r"^place is -1; give a number at least 0$"):
        check_ranges(Options(place=(1.0, -1.0)), place=(0, 1e12))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["edit", "a.jpg", "--out", "o", "--move", "nan", "0", "0"], "move is nan"),
        (["edit", "a.jpg", "--out", "o", "--move", "0", "1e38", "0"], "move is 1e+38"),
        (["edit", "a.jpg", "--out", "o", "--lighten", "nan"], "lighten is nan"),
        (["edit", "a.jpg", "--out", "o", "--lighten", "1e6"], "lighten is 1e+06; give a number from -1 to 1"),
        (["edit", "a.jpg", "--out", "o", "--exposure", "inf"], "exposure is inf"),
        (["edit", "a.jpg", "--out", "o", "--exposure", "-1"], "exposure is -1"),
        (["edit", "a.jpg", "--out", "o", "--yaw", "1e30"], "yaw is 1e+30"),
        (["edit", "a.jpg", "--out", "o", "--environment-turn", "nan"], "environment_turn is nan"),
        (["edit", "a.jpg", "--out", "o", "--light-direction", "nan", "0", "0"], "light_direction is nan"),
        (["reconstruct", "a.jpg", "--texture-size", "100000"], "texture_size is 100000; give a number from 16 to 4096"),
        (["reconstruct", "a.jpg", "--texture-size", "3"], "texture_size is 3; give a number from 16 to 4096"),
        (["prepare", "a", "--out", "o", "--max-turn", "nan"], "max_turn is nan"),
        (["prepare", "a", "--out", "o", "--block", "0"], "block is 0"),
        (["prepare", "a", "--out", "o", "--workers", "-3"], "workers is -3"),
        (["synthesize", "--out", "o", "--yaw", "inf"], "yaw is inf"),
        (["synthesize", "--out", "o", "--image-size", "1000000"], "image_size is 1e+06"),
        (["model", "preview", "makehuman", "--out", "o.png", "--shape", "nan"], "shape is nan"),
        (["view", "--max-megabytes", "nan"], "max_megabytes is nan"),
        (["view", "--port", "70000"], "port is 70000; give a number from 0 to 65535"),
    ],
)
def test_commands_refuse_numbers_that_are_none(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    try:
        status = main.main(arguments)
    except SystemExit as ended:  # options that check themselves while they are read
        status = ended.code
    assert status == 2
    assert message in said(capsys)
    assert list(tmp_path.iterdir()) == []


@dataclass(frozen=True)
class Program:
    minutes: float = 1.0
    fit: FitConfig = field(default_factory=FitConfig)


@pytest.mark.parametrize(("arguments", "named"), [(["--minutes", "nan"], "minutes"), (["--fit.steps", "-1"], "steps")])
def test_programs_refuse_numbers_that_are_none(arguments, named, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["program", *arguments])
    with pytest.raises(SystemExit) as ended:
        program.run(lambda _: pytest.fail("it ran"), Program, None)
    assert ended.value.code == 2
    assert f"{named} is " in said(capsys)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (TrainingConfig, {"minutes": math.nan}),
        (TrainingConfig, {"learning_rate": -1.0}),
        (TrainingConfig, {"log_every": 0}),
        (TrainingConfig, {"loss": LossWeights(photometric=math.inf)}),
        (RunConfig, {"checkpoint_every": -1}),
        (RunConfig, {"held_out": math.nan}),
        (FitConfig, {"learning_rate": math.nan}),
        (AugmentConfig, {"mirror": 1.5}),
        (AugmentConfig, {"rotation": math.inf}),
        (SyntheticConfig, {"shift": math.nan}),
        (PrepareConfig, {"held_out": 2.0}),
        (PrepareConfig, {"every": 0}),
        (Limits, {"min_size": math.nan}),
        (PreviewConfig, {"count": 100_000}),
        (OutputOptions, {"texture_size": 100_000}),
    ],
)
def test_configurations_refuse_numbers_that_are_none(kind, options):
    with pytest.raises(ValueError, match=r" is .*give a "):
        kind(**options)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e30])
def test_edits_refuse_numbers_that_are_none(value, tiny_model):
    code = make_code(1, dtype=torch.float32)
    for edit in (
        lambda: codes.turn(code, yaw=value),
        lambda: codes.move(code, up=value),
        lambda: codes.lighten(code, tiny_model, value),
        lambda: codes.blend_reflectance(code, value),
        lambda: lighting.directional_light((0.0, 0.0, 1.0), ambient=value),
        lambda: lighting.directional_light((0.0, 0.0, 1.0), (value, 1.0, 1.0)),
        lambda: edited(code, {"shape 0": value}, {}),
    ):
        with pytest.raises(ValueError, match=f"{value:g}".replace("+", r"\+")):
            edit()
    if not math.isfinite(value):
        with pytest.raises(ValueError, match="the factor of brightness must be finite"):
            lighting.exposed(code.illumination, value)
