"""What a learned reflectance is worth: whose skin it spans, what went into the light instead, and whom it shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from mofa3d.evaluation.tables import table
from mofa3d.files.whole import write_text
from mofa3d.files.whole_pictures import write_figure, write_picture
from mofa3d.fitting.delighting import ReflectanceSamples
from mofa3d.fitting.reflectance_learning import Fits, completed, nearest_distances, plain_skin, skin_colors
from mofa3d.fitting.robust_pca import Components
from mofa3d.morphable_model import MorphableModel
from mofa3d.pictures import color
from mofa3d.pictures.contact_sheet import draw_sheet
from mofa3d.pictures.model_preview import PreviewConfig, model_rows
from mofa3d.scene import Renderer

DRAWN = 500  # random faces of the model that are compared with photographs
STEP = 8  # every so many vertices are compared
EXPLANATION = """\
L* is CIELAB lightness and ITA the individual typology angle (degrees) of the median color of the plain skin, mean ±
standard deviation over the photographs. Exposure and color balance of the photographs are unknown, so only large
differences mean something. Light is the mean irradiance on the front of the face: where it is lower for a group whose
skin is darker, light has taken the skin's place, or the photographs are darker.
"""


@dataclass(frozen=True)
class Learned:
    """What `write_report` reports on.

    Attributes:
        model: with the learned reflectance.
        rounds: the fits of each round, each to all photographs of that round.
        kept: which of the last round's fits were good enough to learn from.
        components: of the frontal vertices.
        samples: what the photographs of the kept fits show there.
        groups: name of the group of each of them.
    """

    model: MorphableModel
    rounds: list[Fits]
    kept: torch.Tensor
    components: Components
    samples: ReflectanceSamples
    groups: list[str]


def write_report(out: Path, facts: dict[str, str], learned: Learned, render: Renderer) -> str:
    """Write ``report.md`` and its pictures; returns the report.

    Args:
        out: folder.
        facts: lines about the run, name and value.
        learned: what was learned.
        render: a raster backend with a black background.
    """
    components = learned.components
    textures = completed(learned.samples.colors, components)
    plain = plain_skin(components)
    skin = skin_colors(textures, plain)
    generator = torch.Generator().manual_seed(0)
    random = torch.randn(DRAWN, components.basis.shape[2], generator=generator, dtype=torch.float32)
    drawn = (random @ components.basis.flatten(0, 1).T).view(DRAWN, *components.mean.shape) + components.mean
    lines = "\n".join(f"- {name}: {value}" for name, value in facts.items())
    sections = [
        f"# Reflectance learned from photographs\n\n{lines}",
        "## Fits\n\n" + table(["round", "photographs", "photometric error", "landmark error (px)"], _fits(learned)),
        "## Variance\n\n" + table(["modes", "share of the variance"], _variance(textures, components)),
        "## Skin\n\n"
        + table(["group", "photographs", "L*", "ITA", "light"], _skin(learned, skin))
        + f"\n\n{EXPLANATION}\n{_light_and_tone(learned, skin)}\n\n"
        + table(["skin", "photographs", "random faces"], _typology(skin, skin_colors(drawn, plain)))
        + "\n\n![typology angles](typology.png)",
        "## Nobody in it\n\n" + _privacy(textures[:, ::STEP], drawn[:, ::STEP], components.basis[::STEP]),
        "## Pictures\n\n![mean, modes and random faces](model.png)",
    ]
    _draw_typology(skin, learned.groups, out / "typology.png")
    write_picture(out / "model.png", draw_sheet(model_rows(learned.model, render, PreviewConfig())))
    text = "\n\n".join(sections) + "\n"
    write_text(out / "report.md", text)
    return text


def _fits(learned: Learned) -> list[list[str]]:
    return [
        [str(number), str(len(fits.codes)), f"{fits.photometric.nanmean():.3f}", f"{fits.landmark.nanmean():.2f}"]
        for number, fits in enumerate(learned.rounds, start=1)
    ]


def _variance(textures: torch.Tensor, components: Components) -> list[list[str]]:
    total = float(textures.var(dim=0).sum())
    each = components.basis.square().sum(dim=(0, 1)).cumsum(0) / total
    counts = sorted({min(count, len(each)) for count in (1, 3, 10, 30, len(each))})
    return [[str(count), f"{float(each[count - 1]):.3f}"] for count in counts]


def _skin(learned: Learned, skin: Float[np.ndarray, "M 3"]) -> list[list[str]]:
    groups, light = np.array(learned.groups), learned.rounds[-1].light[learned.kept].numpy()
    values = (color.lightness(skin), color.typology_angle(skin), light)
    forms = (".1f", ".1f", ".3f")
    rows = []
    for name in ["all", *sorted(set(learned.groups))]:
        chosen = (groups == name) | (name == "all")
        cells = [f"{v[chosen].mean():{form}} ± {v[chosen].std():{form}}" for v, form in zip(values, forms, strict=True)]
        rows.append([name, str(chosen.sum()), *cells])
    return rows


def _light_and_tone(learned: Learned, skin: Float[np.ndarray, "M 3"]) -> str:
    light = learned.rounds[-1].light[learned.kept].numpy()
    correlation = np.corrcoef(np.log(np.maximum(light, 0.05)), color.lightness(skin))[0, 1]
    return f"Correlation of the logarithm of the light with L*: {correlation:.2f}; 0 would be light that knows no skin."


def _typology(photographs: Float[np.ndarray, "M 3"], faces: Float[np.ndarray, "K 3"]) -> list[list[str]]:
    rows = [[name] for name in [*color.TYPOLOGY, "very light"]]
    bounds = [-90.0, *color.TYPOLOGY.values(), 90.0]
    for colors in (photographs, faces):
        counts = np.histogram(color.typology_angle(colors), bounds)[0]
        for row, count in zip(rows, counts, strict=True):
            row.append(f"{count / len(colors):.1%}")
    return rows


def _privacy(textures: torch.Tensor, drawn: torch.Tensor, basis: torch.Tensor) -> str:
    among = nearest_distances(textures, textures, same=True)
    random = nearest_distances(drawn, textures)
    mean = textures.mean(dim=0)
    ends = torch.cat([mean + sign * basis.permute(2, 0, 1) for sign in (2.5, -2.5)])
    modes = nearest_distances(ends, textures)
    rows = [
        [name, f"{float(values.min()):.4f}", f"{float(values.median()):.4f}"]
        for name, values in {
            "photographs among themselves": among,
            "random faces to photographs": random,
            "modes at ±2.5σ to photographs": modes,
        }.items()
    ]
    return "Root-mean-square color distance to the nearest photograph's texture.\n\n" + table(
        ["", "least", "median"], rows
    )


def _draw_typology(skin: Float[np.ndarray, "M 3"], groups: list[str], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    angles, names = color.typology_angle(skin), sorted(set(groups))
    figure, axes = pyplot.subplots(len(names), 1, figsize=(6, 1.3 * len(names)), sharex=True, squeeze=False)
    for axis, name in zip(axes[:, 0], names, strict=True):
        axis.hist(angles[np.array(groups) == name], bins=np.arange(-90, 91, 5), color="sienna")
        axis.set_ylabel(name.split(", ")[-1], rotation=0, ha="right", fontsize=8)
        axis.set_yticks([])
    axes[-1, 0].set_xlabel("ITA of the learned skin, degrees")
    figure.tight_layout()
    write_figure(path, figure)
    pyplot.close(figure)
