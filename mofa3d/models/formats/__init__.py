"""File formats that face models come in."""
