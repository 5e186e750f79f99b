"""What belongs into the package and into the documentation is there."""

from __future__ import annotations

import ast
import configparser
import re
from pathlib import Path

import pytest
from programs import ROOT

import mofa3d

SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg", encoding="utf-8")
PACKAGES = sorted(path.parent for path in (ROOT / "mofa3d").rglob("__init__.py"))
API = sorted((ROOT / "docs" / "api").glob("*.md"))


def name_of(package: Path) -> str:
    return ".".join(package.relative_to(ROOT).parts)


def test_version_is_stated_in_one_place():
    assert SETUP["metadata"]["version"] == "attr: mofa3d.__version__"
    assert re.fullmatch(r"\d+\.\d+\.\d+", mofa3d.__version__)


def test_every_data_file_goes_into_the_wheel():
    patterns = SETUP["options.package_data"]
    data = [p for p in (ROOT / "mofa3d").rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc", ".nbi", ".nbc")]
    data = [path for path in data if "__pycache__" not in path.parts]
    for path in data:
        asked = patterns.get(name_of(path.parent), "").split(",")
        assert any(path.match(pattern.strip()) for pattern in asked if pattern.strip()), path
    assert {"average_landmarks.json", "py.typed", "MODEL_CARD.md"} <= {path.name for path in data}


def test_every_folder_of_modules_is_a_package():
    assert {path.parent for path in (ROOT / "mofa3d").rglob("*.py")} == set(PACKAGES)


@pytest.mark.parametrize("package", PACKAGES, ids=name_of)
def test_a_package_says_what_it_is_for(package):
    stated = ast.get_docstring(ast.parse((package / "__init__.py").read_text(encoding="utf-8")))
    first = (stated or "").split("\n\n")[0]
    assert first.endswith((".", "?"))
    assert len(first.split()) >= 4


class TestDocumentation:
    # The settings as text: MkDocs is not installed where the tests run.
    NAVIGATION = re.findall(r"^ +- (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)

    def test_every_page_is_a_chapter(self):
        pages = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
        assert sorted(self.NAVIGATION) == sorted([*pages, "model_card.md"])

    @pytest.mark.parametrize("page", API, ids=lambda path: path.stem)
    def test_reference_is_of_modules_that_exist(self, page):
        names = re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert names
        for name in names:
            place = ROOT.joinpath(*name.split("."))
            assert place.with_suffix(".py").is_file() or (place / "__init__.py").is_file(), name

    def test_links_of_contributing_and_the_model_card_lead_somewhere(self):
        for path in (ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "mofa3d/encoders/weights/MODEL_CARD.md"):
            for link in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text(encoding="utf-8")):
                assert (path.parent / link).exists(), f"{path.name}: {link}"
