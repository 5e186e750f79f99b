"""Groups of photographs whose errors are reported by themselves."""

from __future__ import annotations

from collections.abc import Sequence

from mofa3d.data.corpus.dataset import Corpus
from mofa3d.data.corpus.utkface import GENDERS, LABELS, read_name
from mofa3d.data.yaw import YAW_BINS
from mofa3d.evaluation.errors import landmark_yaw
from mofa3d.morphable_model import MorphableModel

Groups = dict[str, list[bool]]

AGES = ((0, 12), (13, 25), (26, 45), (46, 65), (66, 999))  # years, both ends included


def photo_groups(corpus: Corpus, test: Sequence[int], model: MorphableModel) -> Groups:
    """All, each source, and each source's yaw bins where landmarks are known."""
    groups = {"all": [True] * len(test)}
    chosen = list(test)
    yaw = landmark_yaw(model, corpus.landmarks[chosen], corpus.confidence[chosen]).abs().tolist()  # NaN is in no bin
    sources = [corpus.sources[i] for i in test]
    for source in sorted(set(sources)):
        groups[source] = [s == source for s in sources]
        for low, high in YAW_BINS:
            inside = [s == source and low <= y < high for s, y in zip(sources, yaw, strict=True)]
            if any(inside):
                label = f"above {low:.0f}°" if high == YAW_BINS[-1][1] else f"{low:.0f}–{high:.0f}°"
                groups[f"{source}, yaw {label}"] = inside
    return groups


def people_groups(photos: Sequence[str]) -> Groups:
    """Skin tone label, age and gender where the file names say so (see `mofa3d.data.corpus.utkface`); no group is
    empty.

    Args:
        photos: keys.
    """
    people = [read_name(photo) for photo in photos]
    groups = {f"label {label}": [p is not None and p.label == label for p in people] for label in LABELS}
    for low, high in AGES:
        label = f"age above {low - 1}" if high == AGES[-1][1] else f"age {low}–{high}"
        groups[label] = [p is not None and low <= p.age <= high for p in people]
    groups |= {gender: [p is not None and p.gender == gender for p in people] for gender in GENDERS}
    return {name: members for name, members in groups.items() if any(members)}
