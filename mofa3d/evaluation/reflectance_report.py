"""What a learned reflectance is worth: whose skin it spans, what went into the light instead, and whom it shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from mofa3d.evaluation.report import Report
from mofa3d.evaluation.tables import table
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


NEAREST = "Root-mean-square color distance to the nearest photograph's texture."


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
    """Write ``report.md``, ``report.json`` and the pictures; returns the report's text.

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
    fits, shares = _fits(learned), _variance(textures, components)
    tones, correlation = _skin(learned, skin), _light_and_tone(learned, skin)
    angles = {"photographs": _typology(skin), "random faces": _typology(skin_colors(drawn, plain))}
    nearest = _privacy(textures[:, ::STEP], drawn[:, ::STEP], components.basis[::STEP])
    light_and_tone = f"Correlation of the logarithm of the light with L*: {correlation:.2f}; "
    light_and_tone += "0 would be light that knows no skin."
    sections = [
        "## Fits\n\n" + _fits_table(fits),
        "## Variance\n\n"
        + table(["modes", "share of the variance"], [[modes, f"{share:.3f}"] for modes, share in shares.items()]),
        f"## Skin\n\n{_skin_table(tones)}\n\n{EXPLANATION}",
        light_and_tone,
        f"{_typology_table(angles)}\n\n![typology angles](typology.png)",
        f"## Nobody in it\n\n{NEAREST}\n\n{_privacy_table(nearest)}",
        "## Pictures\n\n![mean, modes and random faces](model.png)",
    ]
    numbers = {
        "fits": fits,
        "share of the variance": shares,
        "skin": tones,
        "correlation of light and L*": correlation,
        "typology": angles,
        "nearest": nearest,
    }
    _draw_typology(skin, learned.groups, out / "typology.png")
    write_picture(out / "model.png", draw_sheet(model_rows(learned.model, render, PreviewConfig())))
    report = Report("Reflectance learned from photographs", facts, sections, numbers)
    report.write(out)
    return report.markdown()


def _fits(learned: Learned) -> list[dict[str, float]]:
    return [
        {
            "photographs": len(fits.codes),
            "photometric": float(fits.photometric.nanmean()),
            "landmark": float(fits.landmark.nanmean()),
        }
        for fits in learned.rounds
    ]


def _fits_table(fits: list[dict[str, float]]) -> str:
    rows = [
        [str(number), str(found["photographs"]), f"{found['photometric']:.3f}", f"{found['landmark']:.2f}"]
        for number, found in enumerate(fits, start=1)
    ]
    return table(["round", "photographs", "photometric error", "landmark error (px)"], rows)


def _variance(textures: torch.Tensor, components: Components) -> dict[str, float]:
    """Share of the variance that so many modes explain."""
    total = float(textures.var(dim=0).sum())
    each = components.basis.square().sum(dim=(0, 1)).cumsum(0) / total
    counts = sorted({min(count, len(each)) for count in (1, 3, 10, 30, len(each))})
    return {str(count): float(each[count - 1]) for count in counts}


def _skin(learned: Learned, skin: Float[np.ndarray, "M 3"]) -> dict[str, dict]:
    """Mean and standard deviation of each group."""
    groups, light = np.array(learned.groups), learned.rounds[-1].light[learned.kept].numpy()
    measures = {"L*": color.lightness(skin), "ITA": color.typology_angle(skin), "light": light}
    found = {}
    for name in ["all", *sorted(set(learned.groups))]:
        chosen = (groups == name) | (name == "all")
        means = {
            measure: {"mean": float(values[chosen].mean()), "deviation": float(values[chosen].std())}
            for measure, values in measures.items()
        }
        found[name] = {"photographs": int(chosen.sum()), **means}
    return found


def _skin_table(tones: dict[str, dict]) -> str:
    forms = {"L*": ".1f", "ITA": ".1f", "light": ".3f"}
    rows = [
        [
            name,
            str(found["photographs"]),
            *(f"{found[m]['mean']:{form}} ± {found[m]['deviation']:{form}}" for m, form in forms.items()),
        ]
        for name, found in tones.items()
    ]
    return table(["group", "photographs", *forms], rows)


def _light_and_tone(learned: Learned, skin: Float[np.ndarray, "M 3"]) -> float:
    light = learned.rounds[-1].light[learned.kept].numpy()
    return float(np.corrcoef(np.log(np.maximum(light, 0.05)), color.lightness(skin))[0, 1])


def _typology(colors: Float[np.ndarray, "M 3"]) -> dict[str, float]:
    """Share of the faces in each class of skin."""
    counts = np.histogram(color.typology_angle(colors), [-90.0, *color.TYPOLOGY.values(), 90.0])[0]
    names = [*color.TYPOLOGY, "very light"]
    return {name: int(count) / len(colors) for name, count in zip(names, counts, strict=True)}


def _typology_table(angles: dict[str, dict[str, float]]) -> str:
    names = next(iter(angles.values()))
    rows = [[name, *(f"{shares[name]:.1%}" for shares in angles.values())] for name in names]
    return table(["skin", *angles], rows)


def _privacy(textures: torch.Tensor, drawn: torch.Tensor, basis: torch.Tensor) -> dict[str, dict[str, float]]:
    """Least and median distance to the nearest photograph."""
    mean = textures.mean(dim=0)
    ends = torch.cat([mean + sign * basis.permute(2, 0, 1) for sign in (2.5, -2.5)])
    distances = {
        "photographs among themselves": nearest_distances(textures, textures, same=True),
        "random faces to photographs": nearest_distances(drawn, textures),
        "modes at ±2.5σ to photographs": nearest_distances(ends, textures),
    }
    return {
        name: {"least": float(values.min()), "median": float(values.median())} for name, values in distances.items()
    }


def _privacy_table(nearest: dict[str, dict[str, float]]) -> str:
    rows = [[name, f"{found['least']:.4f}", f"{found['median']:.4f}"] for name, found in nearest.items()]
    return table(["", "least", "median"], rows)


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
