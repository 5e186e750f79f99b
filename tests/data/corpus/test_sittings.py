"""Frames of one video are one sitting, and photographs are one each."""

from __future__ import annotations

import pytest

from mofa3d.data.corpus.sittings import numbers_of, sittings_of
from mofa3d.errors import InputError

SOURCES = ["film", "film", "still", "still", "film"]
IDENTITIES = ["Ann", "Ann", "Ann", "Ann", "Bob"]


def test_sittings():
    found = sittings_of(SOURCES, IDENTITIES, ("film",)).tolist()
    assert found[0] == found[1]
    assert len(set(found)) == 4
    assert len(set(sittings_of(SOURCES, IDENTITIES, ()).tolist())) == 5


def test_a_source_that_is_not_there_is_named():
    with pytest.raises(InputError, match=r"the corpus has no source 'tv'; it has \['film', 'still'\]"):
        sittings_of(SOURCES, IDENTITIES, ("tv",))


def test_numbers():
    assert numbers_of(["b", "a", "b"]).tolist() == [1, 0, 1]
