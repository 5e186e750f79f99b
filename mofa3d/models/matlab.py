"""Read MATLAB's files (version 5)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.io

from mofa3d.models.source_file import SourceFile


def read_mat(file: Path, source: SourceFile, keys: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The named variables of a file.

    Raises:
        ValueError: it is no such file, is damaged, or has none of them.
    """
    try:
        content = scipy.io.loadmat(file, variable_names=keys)
    except Exception as error:  # SciPy raises whatever the damaged bytes lead to
        raise source.damaged(file, f"it cannot be read as a MATLAB file ({error})") from error
    return {key: content[key] for key in keys if key in content}
