"""An identity loss on an encoder's features: they are to tell what a recognition network says of the face.

A corpus has few people of whom there are several photographs, and a network soon knows these by heart. A recognition
network was made to tell people apart, and says of every photograph who it is like. Its embedding is to be a linear
function of the features, of which shape and reflectance are linear functions, too
(``experiments/fit_person_head.py --embeddings``); the layer that computes it is for the training alone.

Reference: Hinton, Vinyals and Dean 2015, "Distilling the Knowledge in a Neural Network", for learning from what
another network says; the cosine as in Genova et al. 2018, "Unsupervised Training for 3D Morphable Model Regression",
who compare embeddings of the photograph and of the rendered face instead.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


def identity_loss(
    told: Float[Tensor, "B E"], embedding: Float[Tensor, "B E"], known: Float[Tensor, "B"]
) -> Float[Tensor, "B"]:
    """One less the cosine between what the features tell and what the network says: 0 to 2.

    Args:
        told: `Encoder.recognize` of the photographs.
        embedding: less the mean of all faces, see `mofa3d.data.corpus.embeddings.Embeddings.centered`.
        known: 0 for faces that the network has not seen.
    """
    with torch.autocast(told.device.type, enabled=False):
        return known * (1 - nn.functional.cosine_similarity(told.float(), embedding, dim=1))
