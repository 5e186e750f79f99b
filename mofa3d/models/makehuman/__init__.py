"""The default model: MakeHuman's CC0 geometry under the statistics of real people; see `mofa3d.models.load_model`."""

from mofa3d.models.makehuman.packaged import dense_landmarks, load, load_units

__all__ = ["dense_landmarks", "load", "load_units"]
