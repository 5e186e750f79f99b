"""Learning the default model's shape from a population of registered faces: a face model made of scans."""
