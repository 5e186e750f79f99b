"""Run by a Python that has Blender's ``bpy``: plays a GLB file and writes what it sees.

python blender_play.py FILE.glb OUT.npz: for each key of the animation, the weights of the morph targets as their
sliders let them through (K, J), and the places of the vertices (K, M, 3) in glTF's axes and metres; the names and ends
of the sliders.
"""

import sys

import bpy
import numpy as np

file, out = sys.argv[1:]
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.ops.import_scene.gltf(filepath=file)
[face] = [each for each in bpy.data.objects if each.type == "MESH"]
keys = face.data.shape_keys
sliders = keys.key_blocks[1:]  # after the basis
scene = bpy.context.scene


def curves(owner):
    """F-curves of an object's action, in every version of Blender."""
    data = owner.animation_data
    if hasattr(data.action, "fcurves"):
        return list(data.action.fcurves)
    return [curve for layer in data.action.layers for strip in layer.strips for bag in strip.channelbags
            for curve in bag.fcurves]  # fmt: skip


frames = sorted({point.co[0] for point in curves(keys)[0].keyframe_points})
weights, places = [], []
for frame in frames:
    scene.frame_set(int(frame), subframe=float(frame - int(frame)))
    seen = face.evaluated_get(bpy.context.evaluated_depsgraph_get())
    mesh = seen.to_mesh()
    points = np.empty(3 * len(mesh.vertices), dtype=np.float32)
    mesh.vertices.foreach_get("co", points)
    world = np.array(seen.matrix_world)
    points = points.reshape(-1, 3) @ world[:3, :3].T + world[:3, 3]
    places.append(points[:, [0, 2, 1]] * [1, 1, -1])  # Blender's z is up
    weights.append([slider.value for slider in sliders])
    seen.to_mesh_clear()
np.savez(
    out,
    names=[slider.name for slider in sliders],
    ends=[(slider.slider_min, slider.slider_max) for slider in sliders],
    weights=weights,
    places=places,
    seconds=np.array(frames) / (scene.render.fps / scene.render.fps_base),
)
