"""For `make docs`: the model card, which lies beside the encoder that it describes, becomes a page of its own."""

from __future__ import annotations

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

CARD = "mofa3d/encoders/weights/MODEL_CARD.md"
PAGE = "model_card.md"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    card = Path(config.config_file_path).parent / CARD
    text = card.read_text(encoding="utf-8").replace("](../../../docs/", "](")
    files.append(File.generated(config, PAGE, content=text))
    return files


def on_page_markdown(markdown: str, **context: object) -> str:
    return markdown.replace(f"](../{CARD}", f"]({PAGE}")
