"""What every report consists of: facts about the run, sections to read, and the numbers behind them as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mofa3d.files.whole import without_nan, write_text


@dataclass(frozen=True)
class Report:
    """A report for readers and for programs, which find every number as a number.

    Attributes:
        title: the headline.
        facts: lines about the run, name and value.
        sections: Markdown, each with its headline if it has one.
        numbers: what the sections show, unrounded, by name; it becomes JSON, where NaN is ``null``.
    """

    title: str
    facts: Mapping[str, str]
    sections: Sequence[str]
    numbers: Mapping[str, object] = field(default_factory=dict)

    def markdown(self) -> str:
        facts = "\n".join(f"- {name}: {value}" for name, value in self.facts.items())
        parts = [f"# {self.title}", facts, *(section.strip() for section in self.sections)]
        return "\n\n".join(part for part in parts if part) + "\n"

    def content(self) -> dict[str, object]:
        """What the JSON file holds."""
        return without_nan({"facts": dict(self.facts), **self.numbers})

    def write(self, out: Path, name: str = "report") -> Path:
        """Write ``report.md`` and, last, ``report.json`` into a folder, which is made; returns the first."""
        out.mkdir(parents=True, exist_ok=True)
        write_text(out / f"{name}.md", self.markdown())
        write_text(out / f"{name}.json", json.dumps(self.content(), indent=1) + "\n")
        return out / f"{name}.md"
