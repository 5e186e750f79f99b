"""What the tests of the programs share."""

from __future__ import annotations

import pytest
from tiny_model import make_tiny_model

from mofa3d.morphable_model import save_model


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with a tiny face model, which is also the cache of all prepared data."""
    folder = tmp_path_factory.mktemp("workplace")
    save_model(make_tiny_model(), folder / "tiny.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOFA3D_CACHE", str(folder / "cache"))
        yield folder
