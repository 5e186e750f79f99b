"""An option of the command line that is given or not."""

from __future__ import annotations

from typing import Annotated

from tyro.conf import FlagCreatePairsOff

Flag = Annotated[bool, FlagCreatePairsOff]  # --name alone, without --no-name
