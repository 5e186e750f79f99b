"""Pairs of photographs for verification, in the format of LFW's ``pairs.txt``.

The first line says how many folds there are and how many pairs of each kind a fold has. Then come, fold by fold, the
matched pairs as ``name  n1  n2`` and the mismatched ones as ``name1  n1  name2  n2``, separated by tabs.

Reference: Huang et al. 2007, "Labeled Faces in the Wild", View 2.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mofa3d.errors import InputError

Photographs = Mapping[str, Sequence[int | str]]
Drawn = tuple[tuple[str, int | str], tuple[str, int | str]]


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
        InputError: it is missing, a line is malformed, or there are not as many lines as the first one says.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"there is no table of pairs at {path} ({error}); give LFW's pairs.txt") from None
    while lines and not lines[-1].strip():
        lines.pop()
    head = lines[0].split() if lines else []
    if len(head) != 2 or not all(part.isdecimal() for part in head):
        raise InputError(
            f"{path} must begin with the numbers of folds and of pairs of each kind per fold, as '10\t300', got "
            f"{lines[0] if lines else ''!r}; give pairs.txt of View 2"
        )
    folds, count = map(int, head)
    if folds < 2 or count < 1:
        raise InputError(f"{path} has {folds} folds of {count} pairs; verification needs 2 folds and 1 pair at least")
    if len(lines) - 1 != folds * 2 * count:
        raise InputError(
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
        raise InputError(f"{where}: expected a {kind} pair ({expected}), got {line!r}; download the table again")
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
        InputError: too few people, or too few with several photographs.
    """
    photos: dict[str, list[int]] = {}
    for path in sorted(folder.glob("*/*.jpg")):
        name, _, number = path.stem.rpartition("_")
        if name == path.parent.name and number.isdecimal():
            photos.setdefault(name, []).append(int(number))
    lines = [f"{folds}\t{count}"]
    chance = random.Random(seed)
    for fold, people in enumerate(_deal(photos, folds, chance)):
        if _possible(people, photos) < count:
            raise InputError(
                f"{folder} has too few people or photographs for {folds} folds of {count} pairs of each kind (fold "
                f"{fold + 1}: {len(people)} people, {_possible(people, photos)} pairs of each kind); ask for fewer"
            )
        matched, mismatched = _draw(people, photos, count, chance)
        lines += [f"{name}\t{a}\t{b}" for (name, a), (_, b) in matched]
        lines += [f"{one}\t{a}\t{other}\t{b}" for (one, a), (other, b) in mismatched]
    return "\n".join(lines) + "\n"


def pair_people(photos: Mapping[str, Sequence[str]], count: int, folds: int, seed: int = 0) -> list[Pair]:
    """Random pairs of named photographs; nobody is in two folds.

    Args:
        photos: of each person.
        count: pairs of each kind per fold, less if there are not as many in every fold.
        folds: how many, less if there are not two people for each.
        seed: of the choice.

    Raises:
        InputError: too few people with several photographs for two folds.
    """
    several = sum(len(names) > 1 for names in photos.values())
    folds = min(folds, several, len(photos) // 2)
    if folds < 2 or count < 1:
        raise InputError(
            f"verification needs 4 people, of whom 2 have several photographs, and 1 pair of each kind per fold; got "
            f"{len(photos)} people, {several} with several photographs, and {count} pairs. Photographs named "
            "Name_Surname_0001.jpg tell who is shown"
        )
    chance = random.Random(seed)
    dealt = _deal(photos, folds, chance)
    count = min(count, *(_possible(people, photos) for people in dealt))
    return [
        Pair(str(first), str(second), same, fold)
        for fold, people in enumerate(dealt)
        for kind, same in zip(_draw(people, photos, count, chance), (True, False), strict=True)
        for (_, first), (_, second) in kind
    ]


def _deal(photos: Photographs, folds: int, chance: random.Random) -> list[list[str]]:
    """The people of each fold, every one with its share of those who have many photographs."""
    names = sorted(photos)
    chance.shuffle(names)
    names.sort(key=lambda name: -len(photos[name]))
    return [names[fold::folds] for fold in range(folds)]


def _possible(people: Sequence[str], photos: Photographs) -> int:
    """How many different pairs of each kind there are of these people's photographs."""
    numbers = [len(photos[name]) for name in people]
    matched = sum(number * (number - 1) // 2 for number in numbers)
    return min(matched, (sum(numbers) ** 2 - sum(number**2 for number in numbers)) // 2)


def _draw(
    people: Sequence[str], photos: Photographs, count: int, chance: random.Random
) -> tuple[list[Drawn], list[Drawn]]:
    """So many matched and mismatched pairs; every person is as likely to be drawn as another."""
    several = [name for name in people if len(photos[name]) > 1]

    def two_people() -> tuple[str, str]:
        one, other = chance.sample(people, 2)
        return one, other

    return (
        _distinct(lambda: (chance.choice(several),) * 2, photos, count, chance),
        _distinct(two_people, photos, count, chance),
    )


def _distinct(
    choose: Callable[[], tuple[str, str]], photos: Photographs, count: int, chance: random.Random
) -> list[Drawn]:
    """Pairs of photographs of two people that are chosen, or of one, none of them twice."""
    drawn: dict[frozenset, Drawn] = {}
    while len(drawn) < count:
        one, other = choose()
        if one == other:
            a, b = (photos[one][i] for i in sorted(chance.sample(range(len(photos[one])), 2)))
        else:
            a, b = chance.choice(photos[one]), chance.choice(photos[other])
        drawn.setdefault(frozenset([(one, a), (other, b)]), ((one, a), (other, b)))
    return list(drawn.values())


def check_photos(folder: Path, pairs: list[Pair]) -> list[str]:
    """Every photograph of the pairs once, in order.

    Raises:
        InputError: photographs are missing.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}; give the one that holds LFW's folders of people")
    names = list(dict.fromkeys(name for pair in pairs for name in (pair.first, pair.second)))
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise InputError(
            f"{len(missing)} of the {len(names)} photographs that the pairs name are not below {folder} (the first: "
            f"{missing[0]}); give all of LFW, or make pairs from what is there with --make-pairs"
        )
    return names
