"""Photographs of verifications: which people of a corpus are compared, and the order of codes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_model import make_tiny_model

from mofa3d import Camera, Decoder, SemanticCode
from mofa3d.data.corpus.dataset import INDEX, KEYS, Corpus
from mofa3d.data.corpus.synthetic import SyntheticConfig, synthesize
from mofa3d.data.crop import crop_face
from mofa3d.data.found_face import FoundFace
from mofa3d.data.photo import read_photo, to_tensor
from mofa3d.evaluation.verification.faces import LfwFaces, codes_of, corpus_faces
from mofa3d.renderers import make_renderer

PEOPLE = "AAABBCCDDEFFGG"  # E has one photograph


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Corpus:
    """Fourteen photographs of seven people, all held out but G's; a landmark of F's first photograph is unknown."""
    folder = tmp_path_factory.mktemp("people")
    config = SyntheticConfig(count=len(PEOPLE), yaw=0.1, pitch=0.05, roll=0.05)
    made = synthesize(config, Decoder(make_tiny_model(), Camera()), make_renderer("cpu", antialias=False), folder)
    rows = [json.dumps([photo, person]) for photo, person in zip(made.photos, PEOPLE, strict=True)]
    (folder / KEYS).write_text("\n".join(rows) + "\n", encoding="utf-8")
    with np.load(folder / INDEX) as index:
        arrays = {name: index[name] for name in index.files}
    arrays["confidence"][PEOPLE.index("F"), 3] = 0
    np.savez(folder / INDEX, **{**arrays, "held_out": np.array([person != "G" for person in PEOPLE])})
    return Corpus(folder)


def test_pairs_of_a_corpus_show_held_out_people_with_several_photographs(corpus):
    faces = corpus_faces(corpus, 20, 10, most=2)
    assert [corpus.photos[i] for i in faces.indices] == faces.names
    who = {name: corpus.identities[i] for name, i in zip(faces.names, faces.indices, strict=True)}
    assert set(who.values()) == set("ABCD")
    assert sum(person == "A" for person in who.values()) == 2
    assert all((who[pair.first] == who[pair.second]) == pair.same for pair in faces.pairs)
    # Two folds of two people, each with two photographs: two matched pairs, and as many mismatched ones.
    assert len(faces.pairs) == 8
    assert faces.facts["pairs"] == "of 4 held-out people, made here and not those of View 2: 8 in 2 folds"


def test_codes_come_in_the_order_of_the_names(corpus):
    faces = corpus_faces(corpus, 20, 10, most=3)
    sizes = make_tiny_model().sizes

    def estimate(batch):
        code = SemanticCode.zeros(len(batch["image"]), sizes)
        return code.replace(shape=code.shape + batch["index"][:, None])

    found = codes_of(estimate, faces, batch_size=3)
    assert found.shape[:, 0].tolist() == faces.indices


def test_photographs_of_lfw_are_cut_out(tmp_path):
    pixels = np.arange(250 * 250 * 3, dtype=np.uint32).reshape(250, 250, 3) % 251
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "a.png")
    box = FoundFace.of_box(120, 130, 90, 0)
    item = LfwFaces(tmp_path, ["a.png"], [box], landmarks=False)[0]
    expected = to_tensor(crop_face(read_photo(tmp_path / "a.png"), box)[0])
    assert torch.equal(item["image"], expected)
    assert item.keys() == {"image"}
