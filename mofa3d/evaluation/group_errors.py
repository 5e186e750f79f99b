"""Tables of an evaluation: means and percentiles of errors by group of photographs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mofa3d.evaluation.errors import group_correlations
from mofa3d.evaluation.report import Report
from mofa3d.evaluation.tables import COLUMNS, number, table

FEW = 30  # photographs; rows of fewer are marked


@dataclass(frozen=True)
class Measure:
    """A column.

    Attributes:
        label: its head.
        form: of its numbers.
        ratio: whether values on both sides of 1 are wrong, so that both tails are shown.
    """

    label: str
    form: str
    ratio: bool = False


MEASURES = {name: Measure(*column, ratio=name == "area") for name, column in COLUMNS.items()}
SCAN_MEASURES = {
    "median": Measure("median (mm)", ".2f"),
    "mean": Measure("mean (mm)", ".2f"),
    "std": Measure("deviation (mm)", ".2f"),
}
ACROSS_MEASURES = {
    "own": Measure("in its own photograph", ".3f"),
    "other": Measure("in another of the same person", ".3f"),
}


@dataclass(frozen=True)
class Group:
    """Photographs that are measured together.

    Attributes:
        name: what they have in common.
        errors: of each photograph, NaN where one is not defined; ``yaw`` and ``landmark_yaw`` are compared.
    """

    name: str
    errors: dict[str, Float[Tensor, "K"]]

    @property
    def photographs(self) -> int:
        return len(next(iter(self.errors.values())))

    def summary(self, measures: dict[str, Measure]) -> dict:
        """Number of photographs, mean and percentiles of each measure over those where it is known, yaw correlation."""
        found: dict = {"photographs": self.photographs}
        for name, measure in measures.items():
            if name in self.errors:
                found[name] = statistics(self.errors[name], measure.ratio)
        if "yaw" in self.errors:
            everyone = {"all": [True] * self.photographs}
            found["yaw correlation"] = group_correlations(self.errors["yaw"], self.errors["landmark_yaw"], everyone)[
                "all"
            ]
        return found


def by_group(errors: dict[str, Float[Tensor, "K"]], groups: Mapping[str, Sequence[bool]]) -> list[Group]:
    """A row for each group."""
    return [
        Group(name, {key: value[torch.as_tensor(members)] for key, value in errors.items()})
        for name, members in groups.items()
    ]


def statistics(values: Float[Tensor, "K"], ratio: bool) -> dict[str, float]:
    """Number, mean and 90th percentile (of a ratio also the 10th) of the finite values; NaN without any."""
    known = values[values.isfinite()].double()
    levels = {"p10": 0.1, "p90": 0.9} if ratio else {"p90": 0.9}
    found = {"known": len(known), "mean": float(known.mean()) if len(known) else float("nan")}
    return found | {
        name: float(known.quantile(level)) if len(known) else float("nan") for name, level in levels.items()
    }


@dataclass(frozen=True)
class Section:
    """A table of the report.

    Attributes:
        title: its headline.
        explanation: what must be known to read it.
        rows: of it.
        measures: its columns, those of which any row knows something.
        notes: lines below it.
    """

    title: str
    explanation: str
    rows: Sequence[Group]
    measures: dict[str, Measure]
    notes: Sequence[str] = ()

    def markdown(self) -> str:
        summaries = [row.summary(self.measures) for row in self.rows]
        names = [name for name in self.measures if any(name in found for found in summaries)]
        correlated = any("yaw correlation" in found for found in summaries)
        head = ["", "photographs", *(self.measures[name].label for name in names)]
        lines = []
        for row, found in zip(self.rows, summaries, strict=True):
            cells = [_cell(found.get(name), self.measures[name]) for name in names]
            if correlated:
                cells.append(number(found.get("yaw correlation", float("nan")), ".2f"))
            lines.append([row.name, f"{row.photographs}{' *' if row.photographs < FEW else ''}", *cells])
        head += ["yaw correlation"] * correlated
        parts = [f"## {self.title}", self.explanation, table(head, lines)]
        if any(row.photographs < FEW for row in self.rows):
            parts.append(f"\\* fewer than {FEW} photographs: other photographs may give quite another mean.")
        if self.notes:
            parts.append("\n".join(f"- {' '.join(note.split())}" for note in self.notes))
        return "\n\n".join(parts)

    def content(self) -> dict:
        rows = {row.name: row.summary(self.measures) for row in self.rows}
        return {"rows": rows, "notes": list(self.notes)}


def _cell(found: dict[str, float] | None, measure: Measure) -> str:
    if found is None:
        return "–"
    tails = [number(found[name], measure.form) for name in ("p10", "p90") if name in found]
    return f"{number(found['mean'], measure.form)} ({' to '.join(tails)})"


def sections_report(title: str, facts: dict[str, str], sections: Sequence[Section]) -> Report:
    """The report that consists of these tables."""
    numbers = {section.title: section.content() for section in sections}
    return Report(title, facts, [section.markdown() for section in sections], numbers)
