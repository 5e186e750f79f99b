"""The trained encoder that comes with the package; MODEL_CARD.md beside it says what it was trained on and how well."""

from pathlib import Path

SHIPPED = Path(__file__).with_name("makehuman_mobilenet_v2.safetensors")
