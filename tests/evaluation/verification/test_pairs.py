"""Tables of pairs: LFW's format, its mistakes, and own ones from a folder."""

from __future__ import annotations

import pytest

from mofa3d.evaluation.verification.pairs import Pair, check_photos, make_pairs, pair_people, photo_of, read_pairs

TABLE = """2\t1
Ann_Lee\t1\t4
Ann_Lee\t2\tBob\t13
Bob\t1\t2
Cid_de-la_O\t1\tAnn_Lee\t3
"""


@pytest.fixture
def table(tmp_path):
    def write(text):
        path = tmp_path / "pairs.txt"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_folds_and_photographs(table):
    assert read_pairs(table(TABLE + "\n")) == [
        Pair("Ann_Lee/Ann_Lee_0001.jpg", "Ann_Lee/Ann_Lee_0004.jpg", True, 0),
        Pair("Ann_Lee/Ann_Lee_0002.jpg", "Bob/Bob_0013.jpg", False, 0),
        Pair("Bob/Bob_0001.jpg", "Bob/Bob_0002.jpg", True, 1),
        Pair("Cid_de-la_O/Cid_de-la_O_0001.jpg", "Ann_Lee/Ann_Lee_0003.jpg", False, 1),
    ]


def test_spaces_will_do_for_tabs(table):
    assert read_pairs(table(TABLE.replace("\t", "  "))) == read_pairs(table(TABLE))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must begin with the numbers of folds and of pairs .* got ''; give pairs.txt of View 2"),
        ("300\nAnn\t1\t2\n", "must begin with .* got '300'"),
        ("1\t1\nA\t1\t2\nA\t1\tB\t1\n", "has 1 folds of 1 pairs; verification needs 2 folds"),
        (TABLE.replace("2\t1\n", "2\t2\n", 1), "must have 2 folds of 2 matched .* 8 lines after the first, but has 4"),
        (TABLE.replace("Bob\t1\t2", "Bob\t1\tAnn\t2"), r"line 4: expected a matched pair \(name, number, number\)"),
        (TABLE.replace("\tBob\t13", "\t3"), r"line 3: expected a mismatched pair \(name, number, name, number\)"),
        (TABLE.replace("1\t4", "1\tx"), "line 2: expected a matched pair"),
    ],
)
def test_malformed_tables_are_refused(table, text, message):
    with pytest.raises(ValueError, match=rf"pairs\.txt.*{message}"):
        read_pairs(table(text))


def test_missing_table(tmp_path):
    with pytest.raises(ValueError, match=r"there is no table of pairs at .*nowhere.*; give LFW's pairs\.txt"):
        read_pairs(tmp_path / "nowhere")


@pytest.fixture
def lfw(tmp_path):
    """Twelve people with three photographs each."""
    for person in range(12):
        name = f"Person_{chr(65 + person)}"
        (tmp_path / "lfw" / name).mkdir(parents=True)
        for number in (1, 2, 5):
            (tmp_path / "lfw" / photo_of(name, number)).write_bytes(b"")
    return tmp_path / "lfw"


def test_own_pairs_are_right_and_keep_people_in_one_fold(lfw, table):
    text = make_pairs(lfw, 3, folds=4)
    assert text == make_pairs(lfw, 3, folds=4)
    assert text != make_pairs(lfw, 3, folds=4, seed=1)
    pairs = read_pairs(table(text))
    assert len(pairs) == len(set(pairs)) == 4 * 6
    folds = {}
    for pair in pairs:
        one, two = (name.split("/")[0] for name in (pair.first, pair.second))
        assert (one == two) == pair.same
        assert pair.first != pair.second
        assert folds.setdefault(one, pair.fold) == folds.setdefault(two, pair.fold) == pair.fold
    assert set(check_photos(lfw, pairs)) == {name for pair in pairs for name in (pair.first, pair.second)}


def test_too_few_people(lfw):
    with pytest.raises(ValueError, match=r"too few people .* for 10 folds of 3 .*fold 3: 1 people, 0 pairs"):
        make_pairs(lfw, 3)


def test_missing_photographs_are_counted(lfw, table):
    pairs = read_pairs(table("2\t1\nPerson_A\t1\t2\nPerson_A\t1\tPerson_B\t1\nBob\t1\t2\nBob\t1\tPerson_A\t5\n"))
    message = r"2 of the 6 photographs that the pairs name are not below .*first: Bob/Bob_0001\.jpg\); give all of LFW"
    with pytest.raises(ValueError, match=message):
        check_photos(lfw, pairs)
    with pytest.raises(ValueError, match=r"there is no folder .*nowhere; give the one that holds LFW"):
        check_photos(lfw / "nowhere", pairs)


def test_pairs_of_named_photographs_are_as_many_as_there_are():
    photos = {name: [f"{name}{i}" for i in range(count)] for name, count in zip("abcde", (3, 4, 2, 1, 2), strict=True)}
    pairs = pair_people(photos, 20, 10)
    assert pairs == pair_people(photos, 20, 10)
    # Two folds, for five people make no three; b and a are in different ones, and a's has 3 matched pairs and another.
    assert {pair.fold for pair in pairs} == {0, 1}
    per_fold = len(pairs) // 4
    assert 3 <= per_fold <= 4
    for fold in (0, 1):
        for same in (True, False):
            chosen = [{pair.first, pair.second} for pair in pairs if (pair.fold, pair.same) == (fold, same)]
            assert len(chosen) == len({frozenset(pair) for pair in chosen}) == per_fold
            assert all((len({name[0] for name in pair}) == 1) == same for pair in chosen)
    folds = {(pair.first[0], pair.fold) for pair in pairs} | {(pair.second[0], pair.fold) for pair in pairs}
    assert len(folds) == len({name for name, _ in folds})
    assert len(pair_people(photos, 1, 10)) == 4


@pytest.mark.parametrize("numbers", [(2, 2, 2), (2, 1, 1, 1, 1), (1, 1, 1, 1)])
def test_too_few_people_with_several_photographs(numbers):
    photos = {chr(65 + i): [f"{i} {j}" for j in range(number)] for i, number in enumerate(numbers)}
    with pytest.raises(ValueError, match=f"needs 4 people, of whom 2 .* got {len(numbers)} people, .* Name_Surname"):
        pair_people(photos, 20, 10)
