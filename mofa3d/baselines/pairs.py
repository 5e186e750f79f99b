"""Pairs of photographs for verification, in the format of LFW's ``pairs.txt``.

The first line says how many folds there are and how many pairs of each kind a fold has. Then come, fold by fold, the
matched pairs as ``name  n1  n2`` and the mismatched ones as ``name1  n1  name2  n2``, separated by tabs.

Reference: Huang et al. 2007, "Labeled Faces in the Wild", View 2.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Pair:
    """Two photographs.

    Attributes:
        first, second: paths below LFW's folder.
        same: whether they show the same person.
        fold: number from 0.
    """

    first: str
    second: str
    same: bool
    fold: int


def photo_of(name: str, number: int) -> str:
    """Where LFW keeps a photograph."""
    return f"{name}/{name}_{number:04d}.jpg"


def read_pairs(path: Path) -> list[Pair]:
    """Read a table of pairs.

    Raises:
        ValueError: it is missing, a line is malformed, or there are not as many lines as the first one says.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"there is no table of pairs at {path} ({error}); give LFW's pairs.txt") from None
    while lines and not lines[-1].strip():
        lines.pop()
    head = lines[0].split() if lines else []
    if len(head) != 2 or not all(part.isdecimal() for part in head):
        raise ValueError(
            f"{path} must begin with the numbers of folds and of pairs of each kind per fold, as '10\t300', got "
            f"{lines[0] if lines else ''!r}; give pairs.txt of View 2"
        )
    folds, count = map(int, head)
    if folds < 2 or count < 1:
        raise ValueError(f"{path} has {folds} folds of {count} pairs; verification needs 2 folds and 1 pair at least")
    if len(lines) - 1 != folds * 2 * count:
        raise ValueError(
            f"{path} must have {folds} folds of {count} matched and {count} mismatched pairs, {folds * 2 * count} "
            f"lines after the first, but has {len(lines) - 1}; download it again"
        )
    pairs = []
    for position, line in enumerate(lines[1:]):
        fold, place = divmod(position, 2 * count)
        pairs.append(_parse(line, fold, place < count, f"{path}, line {position + 2}"))
    return pairs


def _parse(line: str, fold: int, same: bool, where: str) -> Pair:
    parts = line.split("\t") if "\t" in line else line.split()
    expected = "name, number, number" if same else "name, number, name, number"
    numbers = parts[1:] if same else parts[1::2]
    if len(parts) != (3 if same else 4) or not all(number.strip().isdecimal() for number in numbers):
        kind = "matched" if same else "mismatched"
        raise ValueError(f"{where}: expected a {kind} pair ({expected}), got {line!r}; download the table again")
    other = parts[0] if same else parts[2]
    one, two = (int(number) for number in numbers)
    return Pair(photo_of(parts[0].strip(), one), photo_of(other.strip(), two), same, fold)


def make_pairs(folder: Path, count: int, folds: int = 10, seed: int = 0) -> str:
    """The text of a table of random pairs from a part of LFW; nobody is in two folds.

    Args:
        folder: LFW's layout, ``Name/Name_0001.jpg``.
        count: pairs of each kind per fold.
        folds: how many.
        seed: of the choice.

    Raises:
        ValueError: too few people, or too few with several photographs.
    """
    photos: dict[str, list[int]] = {}
    for path in sorted(folder.glob("*/*.jpg")):
        name, _, number = path.stem.rpartition("_")
        if name == path.parent.name and number.isdecimal():
            photos.setdefault(name, []).append(int(number))
    chance = random.Random(seed)
    names = sorted(photos)
    chance.shuffle(names)
    lines = [f"{folds}\t{count}"]
    for fold in range(folds):
        people = names[fold::folds]
        matched = [(name, a, b) for name in people for i, a in enumerate(photos[name]) for b in photos[name][i + 1 :]]
        if len(matched) < count or len(people) * (len(people) - 1) // 2 < count:
            raise ValueError(
                f"{folder} has too few people or photographs for {folds} folds of {count} pairs of each kind (fold "
                f"{fold + 1}: {len(people)} people, {len(matched)} matched pairs); ask for fewer"
            )
        mismatched = [(a, b) for i, a in enumerate(people) for b in people[i + 1 :]]
        lines += [f"{name}\t{a}\t{b}" for name, a, b in chance.sample(matched, count)]
        for a, b in chance.sample(mismatched, count):
            lines.append(f"{a}\t{chance.choice(photos[a])}\t{b}\t{chance.choice(photos[b])}")
    return "\n".join(lines) + "\n"


def check_photos(folder: Path, pairs: list[Pair]) -> list[str]:
    """Every photograph of the pairs once, in order.

    Raises:
        ValueError: photographs are missing.
    """
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}; give the one that holds LFW's folders of people")
    names = list(dict.fromkeys(name for pair in pairs for name in (pair.first, pair.second)))
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise ValueError(
            f"{len(missing)} of the {len(names)} photographs that the pairs name are not below {folder} (the first: "
            f"{missing[0]}); give all of LFW, or make pairs from what is there with --make-pairs"
        )
    return names
