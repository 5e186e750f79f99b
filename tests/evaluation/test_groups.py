"""Photographs are grouped by what their keys and landmarks say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mofa3d.camera import Camera
from mofa3d.data.corpus.dataset import Corpus
from mofa3d.data.corpus.utkface import Person, read_name
from mofa3d.decoder import Decoder
from mofa3d.evaluation.groups import people_groups, photo_groups
from mofa3d.semantic_code import SemanticCode


@pytest.mark.parametrize(
    ("photo", "person"),
    [
        ("utkface/26_1_2_20170116182317362.jpg.chip.jpg", Person(26, "female", "Asian")),
        ("100_0_4_20170112213500903.jpg", Person(100, "male", "Others")),
        ("26_1_2/own.jpg", None),
        ("26_2_1_2017.jpg", None),
        ("1_0_5_2017.jpg", None),
        ("Ann_Lee_0001.jpg", None),
    ],
)
def test_names_of_utkface(photo, person):
    assert read_name(photo) == person


def test_people_by_label_age_and_gender():
    names = ("12_0_0_1.jpg", "13_1_1_1.jpg", "Ann_Lee_0001.jpg", "25_1_0_1.jpg", "66_0_3_1.jpg", "0_0_0_1.jpg")
    groups = people_groups([f"faces/{name}" for name in names])
    assert {name: [i for i, member in enumerate(members) if member] for name, members in groups.items()} == {
        "label White": [0, 3, 5],
        "label Black": [1],
        "label Indian": [4],
        "age 0–12": [0, 5],
        "age 13–25": [1, 3],
        "age above 65": [4],
        "male": [0, 4, 5],
        "female": [1, 3],
    }
    assert people_groups(["lfw/Ann_Lee_0001.jpg"]) == {}


@pytest.mark.parametrize(
    ("age", "group"), [(26, "26–45"), (45, "26–45"), (46, "46–65"), (65, "46–65"), (116, "above 65")]
)
def test_ends_of_ages_are_included(age, group):
    assert f"age {group}" in people_groups([f"{age}_0_0_1.jpg"])


def test_sources_and_their_yaw(tiny_model):
    decode = Decoder(tiny_model, Camera(240))
    vector = torch.zeros(4, tiny_model.sizes.total)
    vector[:, tiny_model.sizes.slices["rotation"].start + 1] = torch.tensor(np.radians([0.0, -22, 50, 4])).float()
    landmarks = decode(SemanticCode.from_vector(vector, tiny_model.sizes)).landmarks
    confidence = torch.ones(4, 68)
    confidence[3, 5] = 0  # its yaw is not known
    corpus = Corpus.__new__(Corpus)  # without a folder
    corpus.sources, corpus.landmarks, corpus.confidence = ["lfw", "ytf", "ytf", "lfw"], landmarks, confidence
    groups = photo_groups(corpus, [0, 1, 2, 3], tiny_model)
    assert groups == {
        "all": [True] * 4,
        "lfw": [True, False, False, True],
        "lfw, yaw 0–15°": [True, False, False, False],
        "ytf": [False, True, True, False],
        "ytf, yaw 15–30°": [False, True, False, False],
        "ytf, yaw above 30°": [False, False, True, False],
    }
    assert photo_groups(corpus, [2], tiny_model) == {"all": [True], "ytf": [True], "ytf, yaw above 30°": [True]}
