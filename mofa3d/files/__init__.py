"""Files and folders that results are written to, whole or not at all."""
