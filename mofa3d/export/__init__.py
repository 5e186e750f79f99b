"""Write reconstructed faces: meshes (GLB, PLY, OBJ), textures, codes, cameras and films."""

from mofa3d.export.codes import read_code, write_code
from mofa3d.export.gltf import Texture, write_glb
from mofa3d.export.meshes import MESH_SUFFIXES, write_mesh
from mofa3d.export.morphs import MorphTargets, Movement, expression_targets, movement, resting, unit_targets
from mofa3d.export.obj import check_side_files, is_texture, side_files, write_textured_obj
from mofa3d.export.photo_camera import PhotoCamera, photo_camera, write_camera
from mofa3d.export.photo_texture import photo_texture
from mofa3d.export.texture import Texels, bake, find_texels
from mofa3d.export.texture_layout import TextureLayout, texture_layout
from mofa3d.export.video import codec, film_writer, write_video
from mofa3d.pictures.color import to_display, to_linear
from mofa3d.pictures.turntable import sheet, turntable

__all__ = [
    "MESH_SUFFIXES",
    "MorphTargets",
    "Movement",
    "PhotoCamera",
    "Texels",
    "Texture",
    "TextureLayout",
    "bake",
    "check_side_files",
    "codec",
    "expression_targets",
    "film_writer",
    "find_texels",
    "is_texture",
    "movement",
    "photo_camera",
    "photo_texture",
    "read_code",
    "resting",
    "sheet",
    "side_files",
    "texture_layout",
    "to_display",
    "to_linear",
    "turntable",
    "unit_targets",
    "write_camera",
    "write_code",
    "write_glb",
    "write_mesh",
    "write_textured_obj",
    "write_video",
]
