"""A recognition network looks at a corpus, and goes on where it was stopped."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from dlib_networks import Tiny
from flat_corpus import make_corpus
from programs import load

from mofa3d.data.corpus.embeddings import Embeddings, read_embeddings, write_embeddings
from mofa3d.errors import InputError

embed_corpus = load("embed_corpus")


@pytest.fixture
def corpus(tmp_path):
    return make_corpus(tmp_path / "corpus")


@pytest.fixture
def config(tmp_path, corpus):
    weights = tmp_path / "tiny.dat"
    weights.write_bytes(Tiny().file())
    return embed_corpus.Config(corpus.folder, tmp_path / "embeddings.safetensors", weights)


def test_every_face_with_landmarks_is_seen(config, corpus, capsys):
    embed_corpus.main(config)
    found = read_embeddings(config.out, corpus.photos)
    # Odd photographs have landmarks, all at one place of the flat picture: (n, 1) px.
    assert torch.equal(found.known, torch.arange(40) % 2 == 1)
    assert (found.values[::2] == 0).all()
    for number, grey in ((3, 18 / 255), (5, 30 / 255), (21, 0.0)):  # 21 lies beyond the picture, in the dark
        expected = Tiny().by_hand(np.full((3, 11, 11), grey))
        np.testing.assert_allclose(found.values[number].numpy(), expected, atol=1e-5)
    assert "20 of 40 faces" in capsys.readouterr().out


def test_a_stopped_run_goes_on(config, corpus):
    known = torch.arange(40) < 30
    write_embeddings(config.out, Embeddings(torch.full((40, 4), 0.25), known), corpus.photos)
    embed_corpus.main(config)
    found = read_embeddings(config.out, corpus.photos)
    assert (found.values[:30] == 0.25).all()  # not looked at again
    assert (found.values[31] != 0.25).all()
    assert found.known.sum() == 35


def test_a_damaged_photograph_costs_itself_alone(config, corpus, caplog):
    shard, offset, _ = corpus._place[21].tolist()
    with open(corpus.folder / "shards" / f"{shard:06d}.tar", "r+b") as file:
        file.seek(offset)
        file.write(b"no JPEG")
    embed_corpus.main(config)
    known = read_embeddings(config.out, corpus.photos).known
    assert known.sum() == 19
    assert not known[21]
    assert corpus.photos[21] in caplog.text


def test_people_with_several_photographs_come_first(corpus):
    # Ten people of four photographs each, of whom those with odd numbers have landmarks.
    assert sorted(embed_corpus.order_of(corpus, 0).tolist()) == list(range(1, 40, 2))
    corpus.identities[7] = "somebody else"
    assert embed_corpus.order_of(corpus, 0)[-1] == 7


def test_files_of_others_are_refused(config, corpus, tmp_path):
    write_embeddings(config.out, Embeddings(torch.zeros(3, 4), torch.ones(3, dtype=torch.bool)), ["a", "b", "c"])
    with pytest.raises(InputError, match=r"embeddings\.safetensors: it was made for another corpus"):
        embed_corpus.main(config)
    known = torch.zeros(40, dtype=torch.bool)
    for values, said in ((torch.zeros(40, 5), "has 5 numbers"), (torch.full((40, 4), torch.nan), "not finite")):
        write_embeddings(config.out, Embeddings(values, known), corpus.photos)
        with pytest.raises(InputError, match=said):
            embed_corpus.main(config)
    config.out.write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"embeddings\.safetensors"):
        embed_corpus.main(config)
