"""The page of a corpus shows its numbers and its pictures, in a real browser too."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from mofa3d.data.corpus.config import PrepareConfig
from mofa3d.data.corpus.prepare import prepare
from mofa3d.data.corpus.report import GUESSED, KNOWN, contact_sheet, draw_points
from mofa3d.data.photo import read_photo

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory, portrait):
    """A corpus of one kept face, a grey one and a photograph without any, in a folder with an awkward name."""
    root = tmp_path_factory.mktemp("corpus")
    photos = root / ("photos\udcff" if sys.platform == "linux" else "photos")  # a name that is not UTF-8
    photos.mkdir()
    shutil.copyfile(portrait, photos / "1.jpg")
    grey = cv2.cvtColor(cv2.cvtColor(read_photo(portrait), cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    Image.fromarray(grey).save(photos / "2.png")
    noise = np.random.default_rng(0).integers(0, 256, (120, 120, 3), dtype=np.uint8)
    Image.fromarray(noise).save(photos / "3.png")
    return prepare([photos], root / "a <b> & ü", PrepareConfig(landmarks="none"), workers=1).folder


def test_counts_and_pictures_are_on_the_page(folder):
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "<h1>Corpus a &lt;b&gt; &amp; ü</h1>" in page
    for name, number in {"photographs": 3, "faces": 1, "left out: grey": 1, "left out: no face": 1}.items():
        assert f'<td>{name}</td><td class="number">{number}</td>' in page
    pictures = re.findall(r'<img src="([^"]+)"', page)
    assert pictures == ["report/kept.jpg", "report/removed-grey.jpg", "report/removed-no-face.jpg"]
    for picture in pictures:
        with Image.open(folder / picture) as image:
            assert image.size == (100, 100)


def test_browser_shows_the_pictures(folder, tmp_path):
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed")
    shot = tmp_path / "page.png"
    command = [browser, *QUIET, f"--user-data-dir={tmp_path}", f"--screenshot={shot}", "--window-size=1300,1600"]
    subprocess.run([*command, (folder / "report.html").as_uri()], check=True, capture_output=True, timeout=120)
    page = np.asarray(Image.open(shot).convert("RGB")).astype(int)
    colorful = np.ptp(page, axis=-1) > 40
    assert colorful.sum() > 2000  # of the kept face; text and tables are grey
    rows, columns = np.nonzero(colorful)
    assert np.ptp(rows) > 60
    assert np.ptp(columns) > 60


def test_contact_sheet_keeps_proportions():
    wide, tall = np.full((50, 200, 3), 10, np.uint8), np.full((200, 100, 3), 200, np.uint8)
    sheet = contact_sheet([wide, tall])
    assert sheet.shape == (100, 200, 3)
    assert (sheet[38:62, :100] == 10).all()
    assert (sheet[:30, :100] == 255).all()
    assert (sheet[:, 126:174] == 200).all()
    assert contact_sheet([wide] * 13).shape == (200, 1200, 3)


def test_points_are_colored_by_their_confidence():
    crop = np.zeros((40, 40, 3), np.uint8)
    drawn = draw_points(crop, np.array([[10.0, 10.0], [30.0, 30.0]]), np.array([1.0, 0.0]))
    assert (tuple(drawn[10, 10]), tuple(drawn[30, 30])) == (KNOWN, GUESSED)
    assert not crop.any()
