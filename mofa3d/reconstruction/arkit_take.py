"""From semantic codes to ARKit's 52 weights, head and eyes."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from pytorch3d.transforms import axis_angle_to_matrix
from scipy.spatial.transform import Rotation
from torch import Tensor

from mofa3d.data.crop_transform import CropTransform
from mofa3d.export.arkit_csv import Take
from mofa3d.fitting.unit_weights import UnitFit, UnitWeights
from mofa3d.models.arkit import arkit_units
from mofa3d.models.expression_units import Units, expression_units
from mofa3d.models.gaze import gaze
from mofa3d.morphable_model import MorphableModel
from mofa3d.scene import Scene


class ArkitFit:
    """Makes takes of one face model's codes.

    Args:
        model: with ARKit's units.
        units: of the model, where they are known already.

    Raises:
        InputError: the model has other units.
    """

    def __init__(self, model: MorphableModel, units: Units | None = None) -> None:
        self.model = model
        self.units = arkit_units(expression_units(model) if units is None else units)
        self.fit = UnitFit(model, self.units)

    def film(self, expression: Float[Tensor, "T E"], times: Float[np.ndarray, "T"]) -> UnitWeights:
        """The weights of a film's frames."""
        return self.fit(expression, times)

    def photograph(
        self, scene: Scene, expression: Float[Tensor, "1 E"], transform: CropTransform
    ) -> tuple[Take, float]:
        """The take of one photograph, and the error of its weights in mm (see `UnitWeights`).

        Args:
            scene: of the code, which says how the head is turned.
            expression: δ.
            transform: from the photograph to the crop, which may be rolled.
        """
        found = self.fit(expression)
        turned = Rotation.from_matrix(axis_angle_to_matrix(scene.rotation.double()).mT.cpu().numpy())
        # Clockwise where y points up is a negative turn about z.
        upright = Rotation.from_euler("z", -transform.roll, degrees=True) * turned
        return self.take(found, np.zeros(1), upright.as_quat()), float(found.error[0])

    def take(self, found: UnitWeights, times: Float[np.ndarray, "T"], head: Float[np.ndarray, "T 4"]) -> Take:
        """Weights, and the eyes as the weights turn them."""
        codes = torch.stack(list(self.units.values())).double().cpu()
        eyes = gaze(self.model, torch.from_numpy(found.weights) @ codes).numpy()
        return Take(times, found.weights, head, eyes)
