"""What the file names of UTKFace say about the people in it: age_gender_race_date."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import NamedTuple

NAME = re.compile(r"(?P<age>\d{1,3})_(?P<gender>[01])_(?P<label>[0-4])_\d+.*")
GENDERS = ("male", "female")
LABELS = ("White", "Black", "Asian", "Indian", "Others")


class Person(NamedTuple):
    """What one name says; the labels are those of the data set's authors, partly made by a program.

    Attributes:
        age: years.
        gender: one of `GENDERS`.
        label: one of `LABELS`.
    """

    age: int
    gender: str
    label: str


def read_name(photo: str) -> Person | None:
    """Of a photograph's key or path; ``None`` if it is not named as UTKFace names them."""
    match = NAME.fullmatch(PurePosixPath(photo).name)
    if not match:
        return None
    return Person(int(match["age"]), GENDERS[int(match["gender"])], LABELS[int(match["label"])])
