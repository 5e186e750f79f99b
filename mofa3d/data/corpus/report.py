"""The page that shows what a preparation kept and what it left out: counts, histograms, contact sheets."""

from __future__ import annotations

import html
import io
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from mofa3d.data.corpus.dataset import REMOVED, Corpus
from mofa3d.data.corpus.shards import decode_crop, encode_crop
from mofa3d.data.failures import FAILURES
from mofa3d.data.photo import Photo, fit
from mofa3d.files.whole import write_bytes, write_text

REPORT, PICTURES = "report.html", "report"
COLUMNS, ROWS, SIDE = 12, 6, 100  # of a contact sheet; pixels of a picture in it
KNOWN, GUESSED = (80, 255, 80), (255, 80, 80)  # colors of points with the confidence 1 and 0
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1240px; padding: 0 1rem; color: #222 }
table { border-collapse: collapse } td, th { padding: .2rem .8rem; border-bottom: 1px solid #ddd; text-align: left }
td.number { text-align: right } img { max-width: 100%; display: block; margin: .5rem 0 }
"""


def write_report(corpus: Corpus) -> Path:
    """Write ``report.html`` and its pictures into the corpus's folder."""
    pictures = corpus.folder / PICTURES
    pictures.mkdir(exist_ok=True)
    for old in pictures.glob("*"):
        old.unlink()
    sections = [_counts(corpus), _sources(corpus), _histograms(corpus, pictures), _kept(corpus, pictures)]
    sections += _removed(corpus.folder, pictures, corpus.summary["counts"]["removed"])
    page = [
        "<!doctype html>",
        '<html lang="en"><meta charset="utf-8">',
        f"<title>{html.escape(corpus.folder.name)}</title><style>{STYLE}</style>",
        f"<h1>Corpus {html.escape(corpus.folder.name)}</h1>",
        *sections,
        "</html>",
    ]
    path = corpus.folder / REPORT
    write_text(path, "\n".join(page) + "\n", errors="backslashreplace")  # names of files need not be UTF-8
    return path


def _counts(corpus: Corpus) -> str:
    counts = corpus.summary["counts"]
    rows = [(name, value) for name, value in counts.items() if name != "removed"]
    rows += [(f"left out: {rule}", number) for rule, number in counts["removed"].items()]
    rows.append(("held out for validation", int(corpus.held_out.sum())))
    link = f'<p>Photographs without a usable face: <a href="{FAILURES}">{FAILURES}</a>.</p>'
    return "<h2>Counts</h2>" + _table(["", "number"], rows) + link


def _sources(corpus: Corpus) -> str:
    names, numbers = np.unique(corpus.sources, return_counts=True)
    return "<h2>Sources</h2>" + _table(["source", "faces"], list(zip(names.tolist(), numbers.tolist(), strict=True)))


def _table(head: Sequence[str], rows: Sequence[tuple]) -> str:
    def cell(value: object) -> str:
        kind = ' class="number"' if isinstance(value, int) else ""
        return f"<td{kind}>{html.escape(str(value))}</td>"

    body = "".join(f"<tr>{''.join(map(cell, row))}</tr>" for row in rows)
    return f"<table><tr>{''.join(f'<th>{html.escape(name)}</th>' for name in head)}</tr>{body}</table>"


def _histograms(corpus: Corpus, pictures: Path) -> str:
    """Distances between the outer eye corners, and confidences, of the faces whose points are known."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    known = (corpus.confidence > 0).all(dim=1).numpy()
    if not known.any():
        return "<h2>Landmarks</h2><p>None are known.</p>"
    points, confidence = corpus.landmarks.numpy()[known], corpus.confidence.numpy()[known]
    eyes = np.linalg.norm(points[:, 45] - points[:, 36], axis=-1)
    figure = Figure(figsize=(11, 3))
    FigureCanvasAgg(figure)
    kinds = {
        "outer-eye distance (px of the crop)": eyes,
        "middle of the eyes, from the left (px)": points[:, [36, 45], 0].mean(axis=1),
        "confidence, mean of a face": confidence.mean(axis=1),
    }
    for number, (title, values) in enumerate(kinds.items(), start=1):
        axis = figure.add_subplot(1, len(kinds), number)
        axis.hist(values, bins=np.linspace(values.min() - 0.01, values.max() + 0.01, 61).tolist())
        axis.set_title(title)
    figure.tight_layout()
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=100)
    write_bytes(pictures / "histograms.png", data.getvalue())
    return f"<h2>Landmarks</h2><p>Known for {known.sum()} faces.</p>" + _image("histograms.png", "histograms")


def _kept(corpus: Corpus, pictures: Path) -> str:
    step = max(1, len(corpus) // (COLUMNS * ROWS))
    crops = []
    for index in range(0, len(corpus), step)[: COLUMNS * ROWS]:
        crop = (corpus[index]["image"].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
        points, confidence = corpus.landmarks[index].numpy(), corpus.confidence[index].numpy()
        crops.append(draw_points(crop, points, confidence) if confidence.any() else crop)
    write_bytes(pictures / "kept.jpg", encode_crop(contact_sheet(crops)))
    legend = "Points are green where the confidence is 1 and red where it is 0."
    return f"<h2>Kept</h2><p>{len(crops)} of {len(corpus)}. {legend}</p>" + _image("kept.jpg", "kept faces")


def _removed(folder: Path, pictures: Path, counts: dict[str, int]) -> list[str]:
    by_rule: dict[str, list[Path]] = defaultdict(list)
    for path in sorted((folder / REMOVED).glob("*.jpg")):
        by_rule[path.stem.split("-")[1]].append(path)
    sections = []
    for rule, paths in sorted(by_rule.items()):
        chosen = paths[:: max(1, len(paths) // (COLUMNS * ROWS))][: COLUMNS * ROWS]
        name = f"removed-{rule.replace(' ', '-')}.jpg"
        sheet = contact_sheet([decode_crop(path.read_bytes()) for path in chosen])
        write_bytes(pictures / name, encode_crop(sheet))
        title = f"<h2>Left out: {html.escape(rule)}</h2><p>{len(chosen)} of {counts.get(rule, len(paths))}.</p>"
        sections.append(title + _image(name, f"left out: {rule}"))
    return sections


def _image(name: str, what: str) -> str:
    return f'<img src="{PICTURES}/{name}" alt="{html.escape(what)}">'


def contact_sheet(images: Sequence[np.ndarray]) -> UInt8[np.ndarray, "height width 3"]:
    """8-bit RGB images of any size side by side, each fitted into a square."""
    cells = []
    for image in images:
        small, cell = fit(image, SIDE), np.full((SIDE, SIDE, 3), 255, dtype=np.uint8)
        height, width = small.shape[:2]
        top, left = (SIDE - height) // 2, (SIDE - width) // 2
        cell[top : top + height, left : left + width] = small
        cells.append(cell)
    columns = min(COLUMNS, max(len(cells), 1))
    cells += [np.full((SIDE, SIDE, 3), 255, dtype=np.uint8)] * (-len(cells) % columns)
    rows = [np.concatenate(cells[start : start + columns], axis=1) for start in range(0, len(cells), columns)]
    return np.concatenate(rows)


def draw_points(crop: Photo, points: np.ndarray, confidence: np.ndarray) -> Photo:
    """A copy of the crop with landmarks drawn on it."""
    drawn = crop.copy()
    for (x, y), trust in zip(points, confidence, strict=True):
        color = np.array(GUESSED) + trust * (np.array(KNOWN) - GUESSED)
        cv2.circle(drawn, (round(float(x)), round(float(y))), 2, color.tolist(), thickness=-1)
    return drawn
