// A mesh that is turned with the mouse. The server sends vertices again and again, and triangles once.
import { THREE, OrbitControls } from "nicegui-scene";

const FIELD_OF_VIEW = 25; // degrees
const FILLED = 1.05; // radii of the mesh per half of the view: the sphere around a face is wider than the face

export default {
  template: `<div style="position:relative;width:100%;height:100%;min-height:0;overflow:hidden">
      <canvas style="display:block;position:absolute;inset:0;touch-action:none"></canvas>
      <div v-if="failed" class="mesh-failed">{{ failed }}</div>
    </div>`,
  props: { triangles: String },
  data: () => ({ failed: "" }),
  mounted() {
    try {
      this.renderer = new THREE.WebGLRenderer({ canvas: this.$el.querySelector("canvas"), antialias: true, alpha: true });
    } catch {
      this.failed = "This browser cannot draw in 3D: WebGL is switched off.";
      return;
    }
    // The colors are those of a screen already.
    this.renderer.outputColorSpace = THREE.LinearSRGBColorSpace;
    this.renderer.setPixelRatio(window.devicePixelRatio);
    this.scene = new THREE.Scene();
    this.camera = new THREE.PerspectiveCamera(FIELD_OF_VIEW, 1, 10, 10000);
    this.controls = new OrbitControls(this.camera, this.renderer.domElement);
    this.controls.enablePan = false;
    this.controls.addEventListener("change", () => this.draw());
    this.geometry = new THREE.BufferGeometry();
    const material = new THREE.MeshBasicMaterial({ vertexColors: true, side: THREE.DoubleSide });
    this.scene.add(new THREE.Mesh(this.geometry, material));
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.$el);
    this.resize();
  },
  beforeUnmount() {
    this.observer?.disconnect();
    this.controls?.dispose();
    this.geometry?.dispose();
    this.renderer?.dispose();
  },
  methods: {
    // Shows what the address answers. While one is loading, only the newest of the others waits.
    async show(url) {
      if (!this.renderer) return;
      if (this.loading) {
        this.waiting = url;
        return;
      }
      this.loading = true;
      try {
        if (!this.geometry.index) {
          const triangles = await this.fetch(this.triangles);
          this.geometry.setIndex(new THREE.BufferAttribute(new Uint32Array(triangles), 1));
        }
        this.replace(await this.fetch(url));
        this.$el.dataset.shown = url;
      } catch (error) {
        console.warn("the mesh could not be loaded:", error);
      }
      this.loading = false;
      if (this.waiting) {
        const next = this.waiting;
        this.waiting = undefined;
        this.show(next);
      }
    },
    async fetch(url) {
      const answer = await fetch(url);
      if (!answer.ok) throw new Error(await answer.text());
      return answer.arrayBuffer();
    },
    replace(buffer) {
      const count = buffer.byteLength / 16; // 12 bytes of position, 4 of color
      const first = !this.geometry.attributes.position;
      this.geometry.setAttribute("position", new THREE.BufferAttribute(new Float32Array(buffer, 0, 3 * count), 3));
      this.geometry.setAttribute("color", new THREE.BufferAttribute(new Uint8Array(buffer, 12 * count), 4, true));
      this.geometry.computeBoundingSphere();
      if (first) this.front();
      this.draw();
    },
    // The camera back to where the photograph was taken from.
    front() {
      if (!this.geometry?.boundingSphere) return;
      const { center, radius } = this.geometry.boundingSphere;
      const half = THREE.MathUtils.degToRad(FIELD_OF_VIEW / 2);
      const distance = radius / FILLED / Math.sin(half) / Math.min(1, this.camera.aspect);
      this.controls.target.copy(center);
      this.camera.position.set(center.x, center.y, center.z + distance);
      this.controls.minDistance = distance / 4;
      this.controls.maxDistance = 3 * distance;
      this.controls.update();
      this.draw();
    },
    resize() {
      const { clientWidth, clientHeight } = this.$el;
      if (!clientWidth || !clientHeight) return;
      this.camera.aspect = clientWidth / clientHeight;
      this.camera.updateProjectionMatrix();
      this.renderer.setSize(clientWidth, clientHeight);
      this.draw();
    },
    draw() {
      this.renderer.render(this.scene, this.camera);
    },
  },
};
