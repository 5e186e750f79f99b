"""Tables that set systems side by side, as Markdown and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from mofa3d.evaluation import tables as markdown
from mofa3d.evaluation.comparison.pixels import report
from mofa3d.evaluation.errors import group_correlations, group_means
from mofa3d.evaluation.report import Report
from mofa3d.evaluation.tables import COLUMNS, number
from mofa3d.files.whole import without_nan

Columns = dict[str, tuple[str, str]]

SECONDS = ("seconds per image", ".3f")
PHOTOGRAPHS: Columns = {
    **{name: COLUMNS[name] for name in ("photometric", "landmark", "area")},
    "yaw": ("yaw correlation", ".2f"),
    "seconds": SECONDS,
}
SYNTHETIC: Columns = {"geometric": COLUMNS["geometric"], **PHOTOGRAPHS}
PIXELS: Columns = {**report.COLUMNS, "seconds": SECONDS}
VERIFICATION: Columns = {
    "accuracy": ("accuracy (%)", ".2f"),
    "standard error": ("standard error (%)", ".2f"),
    "area": ("AUC", ".4f"),
}
TIMES: Columns = {"seconds": SECONDS}
TRAININGS: Columns = {
    "iterations": ("iterations", ".0f"),
    "batch": ("images per iteration", ".0f"),
    "minutes": ("minutes", ".1f"),
}
BEFORE_AND_AFTER: Columns = {name: COLUMNS[name] for name in ("geometric", "photometric", "landmark", "area")}
OCCLUDED: Columns = {
    **{name: PHOTOGRAPHS[name] for name in ("photometric", "landmark", "area", "yaw")},
    "clear_photometric": ("photometric error without occluder", ".3f"),
    "clear_landmark": ("landmark error without occluder (px)", ".2f"),
}


@dataclass(frozen=True)
class SystemMeans:
    """One system of a table.

    Attributes:
        system: its name.
        values: mean of each measure; NaN where one is not defined.
        images: over how many.
        reason: why there are no values; empty if there are.
    """

    system: str
    values: dict[str, float] = field(default_factory=dict)
    images: int = 0
    reason: str = ""


def means_of(system: str, errors: dict[str, Tensor]) -> SystemMeans:
    """The means of a system's errors (see `mofa3d.evaluation.errors.evaluate`), with the correlation of yaw as
    ``yaw``.
    """
    images = len(next(iter(errors.values())))
    groups = {"all": [True] * images}
    means = group_means({name: value for name, value in errors.items() if "yaw" not in name}, groups)["all"]
    values = {name: value for name, value in means.items() if name != "images"}
    if "yaw" in errors:
        values["yaw"] = group_correlations(errors["yaw"], errors["landmark_yaw"], groups)["all"]
    return SystemMeans(system, values, images)


@dataclass(frozen=True)
class Table:
    """Systems that were measured on the same images.

    Attributes:
        title: its headline.
        explanation: what must be known to read it.
        columns: measures, each with a label and a format.
        rows: in the order in which they are shown.
    """

    title: str
    explanation: str
    columns: Columns
    rows: Sequence[SystemMeans]

    def markdown(self) -> str:
        """The table; systems without values have dashes, and their reasons come below it."""
        lines = []
        for row in self.rows:
            cells = [number(row.values.get(name, float("nan")), form) for name, (_, form) in self.columns.items()]
            lines.append([row.system, "–" if row.reason else str(row.images), *cells])
        table = markdown.table(["system", "images", *(label for label, _ in self.columns.values())], lines)
        reasons = [f"- {row.system}: {' '.join(row.reason.split())}" for row in self.rows if row.reason]
        return "\n\n".join([table, *(["Not measured:\n\n" + "\n".join(reasons)] if reasons else [])])

    def content(self) -> dict[str, dict]:
        """The same for JSON: unrounded, ``None`` where a measure is not defined."""
        return {
            row.system: without_nan({"failed": row.reason} if row.reason else {"images": row.images, **row.values})
            for row in self.rows
        }


def comparison_report(
    title: str,
    facts: dict[str, str],
    tables: Sequence[Table],
    figures: dict[str, str],
    commands: dict[str, str],
    remarks: dict[str, str],
) -> Report:
    """What a comparison found.

    Args:
        title: its headline.
        facts: lines about the run, name and value.
        tables: of it.
        figures: file names and what they show.
        commands: name of each system, and how it came about.
        remarks: further sections, headline and text.
    """
    sections = [f"## {table.title}\n\n{table.explanation}\n\n{table.markdown()}" for table in tables]
    for file, caption in figures.items():
        headline = caption.split(".")[0]
        sections.append(f"## {headline}\n\n{caption}\n\n![{headline}]({file})")
    sections += [f"## {headline}\n\n{text.strip()}" for headline, text in remarks.items()]
    typed = "\n".join(f"{command}  # {name}" for name, command in commands.items())
    sections.append(f"## Commands that were run\n\n```sh\n{typed}\n```")
    content = {table.title: table.content() for table in tables}
    return Report(title, facts, sections, {"tables": content, "commands": commands})
