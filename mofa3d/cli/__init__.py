"""The commands of `mofa3d`: one file each, and how programs begin and end."""
