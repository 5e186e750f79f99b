"""The local web page of ``mofa3d view``: a photograph, its face in 3D, and sliders to change it."""
