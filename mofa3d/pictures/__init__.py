"""From renderings to pictures."""
