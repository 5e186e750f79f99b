"""Where things are kept, and that a place that cannot be written is found out before anything is computed for it."""

from __future__ import annotations

import errno
from pathlib import Path

import platformdirs
import pytest

from mofa3d.data.corpus.open import open_corpus
from mofa3d.environment.cache_folder import cache_directory, check_cache
from mofa3d.models import load_model
from mofa3d.models.makehuman import cache


@pytest.fixture
def file_in_the_way(tmp_path) -> Path:
    """A folder below a file: not even root can make it."""
    (tmp_path / "file").touch()
    return tmp_path / "file" / "cache"


def test_the_variable_chooses_the_folder_else_the_system_does(monkeypatch, tmp_path):
    monkeypatch.setenv("MOFA3D_CACHE", str(tmp_path))
    assert cache_directory() == tmp_path
    monkeypatch.setenv("MOFA3D_CACHE", "")
    assert cache_directory() == Path(platformdirs.user_cache_dir("mofa3d"))


def test_a_folder_that_can_be_written_is_made_and_left_empty(tmp_path):
    check_cache(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_folder_that_cannot_be_written_names_the_variable(file_in_the_way):
    message = rf"cannot write the cache folder {file_in_the_way} \(.*\); set the environment variable MOFA3D_CACHE to"
    with pytest.raises(ValueError, match=message):
        check_cache(file_in_the_way)


def test_a_user_without_a_home_gets_no_folder_named_tilde(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"there is no home folder to cache in; set the environment variable MOFA3D"):
        check_cache(Path("~/.cache/mofa3d"))
    assert list(tmp_path.iterdir()) == []


def test_default_model_is_not_built_for_a_folder_that_cannot_be_written(monkeypatch, file_in_the_way):
    monkeypatch.setenv("MOFA3D_CACHE", str(file_in_the_way))
    monkeypatch.setattr(cache, "package_version", lambda: "0.0")
    monkeypatch.setattr("mofa3d.models.makehuman.build.build", lambda: pytest.fail("was built"))
    with pytest.raises(ValueError, match="cannot write the cache folder"):
        cache.load_built()
    with pytest.raises(ValueError, match="cannot write the cache folder"):
        load_model("makehuman", reflectance="pigment")
    assert load_model("makehuman").name == "makehuman"  # what the package ships needs no cache


def test_default_model_in_a_home_that_may_not_be_looked_into_is_one_that_is_missing(monkeypatch, file_in_the_way):
    def refuse(path: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setenv("MOFA3D_CACHE", str(file_in_the_way))
    monkeypatch.setattr(cache, "package_version", lambda: "0.0")
    monkeypatch.setattr(Path, "exists", refuse)
    with pytest.raises(ValueError, match="cannot write the cache folder"):
        cache.load_built()


def test_photographs_are_not_prepared_for_a_cache_that_cannot_be_written(tmp_path, file_in_the_way):
    (tmp_path / "photos").mkdir()
    with pytest.raises(ValueError, match="cannot write the cache folder"):
        open_corpus(tmp_path / "photos", file_in_the_way)
