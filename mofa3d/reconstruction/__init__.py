"""From a photograph to a face, and from a face to a folder of files."""
