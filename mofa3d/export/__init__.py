"""Write reconstructed faces: meshes (GLB, PLY, OBJ), textures, codes, cameras and videos."""

from importlib import import_module
from typing import Any

# Where each is, and imported when it is asked for: what writes a GLB file does without what writes films.
PLACES = {
    "MESH_SUFFIXES": "meshes",
    "MorphTargets": "morphs",
    "Movement": "morphs",
    "PhotoCamera": "photo_camera",
    "Texels": "texture",
    "Texture": "gltf",
    "Take": "arkit_csv",
    "TextureLayout": "texture_layout",
    "bake": "texture",
    "check_side_files": "obj",
    "codec": "video",
    "expression_targets": "morphs",
    "film_writer": "video",
    "find_texels": "texture",
    "is_texture": "obj",
    "movement": "morphs",
    "read_code": "codes",
    "resting": "morphs",
    "side_files": "obj",
    "two_sided": "morphs",
    "unit_targets": "morphs",
    "write_arkit": "arkit_csv",
    "write_camera": "photo_camera",
    "write_code": "codes",
    "write_glb": "gltf",
    "write_mesh": "meshes",
    "write_textured_obj": "obj",
    "write_video": "video",
}
__all__ = list(PLACES)


def __getattr__(name: str) -> Any:
    if name in PLACES:
        return getattr(import_module(f"mofa3d.export.{PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
