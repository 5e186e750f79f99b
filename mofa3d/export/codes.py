"""Write semantic codes as JSON."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

from mofa3d.semantic_code import SemanticCode


def write_code(path: Path, code: SemanticCode, extra: dict | None = None) -> None:
    """Write one semantic code (a batch of one) as JSON, block by block; `extra` joins it."""
    blocks = {block.name: getattr(code, block.name)[0].tolist() for block in fields(code)}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**(extra or {}), **blocks}, indent=1) + "\n", encoding="utf-8")
