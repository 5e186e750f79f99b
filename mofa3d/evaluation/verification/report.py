"""The report on a verification: accuracy with its error, area under the ROC, and the curves."""

from __future__ import annotations

from pathlib import Path

from mofa3d.evaluation import tables
from mofa3d.evaluation.report import Report
from mofa3d.evaluation.verification.protocol import Verification
from mofa3d.files.whole_pictures import write_figure

EXPLANATION = """\
Accuracy: mean over the folds ± standard error of the mean; whitening and threshold of each fold come from the others.
AUC: area under the ROC over all folds; 0.5 is chance.
"""


def table(results: dict[str, Verification]) -> str:
    """One row for each kind of code, as Markdown."""
    rows = []
    for name, found in results.items():
        accuracy = f"{100 * found.accuracy:.2f} ± {100 * found.standard_error:.2f}"
        rows.append([name, accuracy, f"{found.area:.4f}"])
    return tables.table(["compared", "accuracy (%)", "AUC"], rows)


def write_report(
    out: Path, facts: dict[str, str], results: dict[str, Verification], numbers: dict[str, int] | None = None
) -> Path:
    """Write ``report.md``, ``report.json`` and ``roc.png`` into a folder.

    Args:
        out: the folder.
        facts: lines about the run, name and value.
        results: name of each kind of code, and what it found.
        numbers: how much was compared, for the JSON file.
    """
    measured = {
        name: {
            "accuracy": found.accuracy,
            "standard error": found.standard_error,
            "area": found.area,
            "folds": found.accuracies.tolist(),
            "thresholds": found.thresholds.tolist(),
        }
        for name, found in results.items()
    }
    sections = [table(results), f"{EXPLANATION}\n![ROC](roc.png)"]
    draw_roc(results, out / "roc.png")
    return Report("Verification of people", facts, sections, {"results": measured, **(numbers or {})}).write(out)


def draw_roc(results: dict[str, Verification], path: Path) -> None:
    """Draw true against false positive rates."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(5, 5))
    for name, found in results.items():
        axis.plot(*found.curve(), label=f"{name} (AUC {found.area:.3f})")
    axis.plot([0, 1], [0, 1], color="grey", linestyle=":", label="chance")
    axis.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axis.grid(alpha=0.3)
    axis.legend(loc="lower right")
    figure.tight_layout()
    write_figure(path, figure)
    pyplot.close(figure)
