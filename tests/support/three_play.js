// Plays face.glb in a page: for each time the weights and the places of the vertices, and what is drawn.
import { GLTFLoader, THREE } from "./three.js";

const loaded = await new GLTFLoader().loadAsync("./face.glb");
const face = loaded.scene.getObjectByProperty("isMesh", true);
const renderer = new THREE.WebGLRenderer({ preserveDrawingBuffer: true });
renderer.setSize(160, 160);
document.body.append(renderer.domElement);
const scene = new THREE.Scene().add(loaded.scene, new THREE.HemisphereLight(0xffffff, 0x404040, 3));
const camera = new THREE.PerspectiveCamera(20, 1, 0.1, 10);
camera.position.z = 1;
const mixer = new THREE.AnimationMixer(loaded.scene);
const action = mixer.clipAction(loaded.animations[0]).play();
action.setLoop(THREE.LoopOnce, 1);
action.clampWhenFinished = true;

window.play = (time) => {
  mixer.setTime(time);
  scene.updateMatrixWorld(true);
  const places = [];
  const point = new THREE.Vector3();
  for (let k = 0; k < face.geometry.attributes.position.count; k++) {
    face.getVertexPosition(k, point).applyMatrix4(face.matrixWorld);
    places.push(point.x, point.y, point.z);
  }
  renderer.render(scene, camera);
  const context = renderer.getContext();
  const pixels = new Uint8Array(4 * 160 * 160);
  context.readPixels(0, 0, 160, 160, context.RGBA, context.UNSIGNED_BYTE, pixels);
  return { weights: [...face.morphTargetInfluences], places, pixels: [...pixels] };
};
window.names = Object.keys(face.morphTargetDictionary);
