// A mesh that is turned with the mouse or the arrow keys. The server sends vertices again and again, the rest once.
import { THREE, OrbitControls } from "nicegui-scene";

const FIELD_OF_VIEW = 25; // degrees
const FILLED = 1.05; // radii of the mesh per half of the view: the sphere around a face is wider than the face
const STEP = 6; // degrees per key
const BRIGHTEST = 2; // see mesh_data.py

export default {
  template: `<div class="mesh-view" tabindex="0" role="application" aria-label="Face in 3D" @keydown="key">
      <canvas></canvas>
      <div v-if="failed" class="mesh-failed">{{ failed }}</div>
    </div>`,
  props: { triangles: String, coordinates: String },
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
    const solid = { vertexColors: true, side: THREE.DoubleSide, polygonOffset: true, polygonOffsetFactor: 1 };
    this.plain = new THREE.MeshBasicMaterial(solid);
    this.textured = new THREE.MeshBasicMaterial({ ...solid, color: new THREE.Color(BRIGHTEST, BRIGHTEST, BRIGHTEST) });
    this.mesh = new THREE.Mesh(this.geometry, this.plain);
    const thin = { color: 0x10202c, wireframe: true, transparent: true, opacity: 0.16 };
    this.edges = new THREE.Mesh(this.geometry, new THREE.MeshBasicMaterial(thin));
    this.edges.visible = false;
    this.scene.add(this.mesh, this.edges);
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.$el);
    this.resize();
  },
  beforeUnmount() {
    this.observer?.disconnect();
    this.controls?.dispose();
    this.geometry?.dispose();
    this.textured?.map?.dispose();
    this.renderer?.dispose();
  },
  methods: {
    // Shows what the addresses answer. While one is loading, only the newest of the others waits.
    async show(vertices, texture, name) {
      if (!this.renderer) return;
      if (this.loading) {
        this.waiting = [vertices, texture, name];
        return;
      }
      this.loading = true;
      try {
        if (!this.geometry.index) await this.prepare();
        if (texture && this.$el.dataset.texture !== name) await this.paint(texture, name);
        this.replace(await this.fetch(vertices), texture ? this.textured : this.plain);
        this.$el.dataset.shown = vertices;
      } catch (error) {
        console.warn("the mesh could not be loaded:", error);
      }
      this.loading = false;
      if (this.waiting) {
        const next = this.waiting;
        this.waiting = undefined;
        this.show(...next);
      }
    },
    async fetch(url) {
      const answer = await fetch(url);
      if (!answer.ok) throw new Error(await answer.text());
      return answer.arrayBuffer();
    },
    async prepare() {
      const [triangles, coordinates] = await Promise.all([this.fetch(this.triangles), this.fetch(this.coordinates)]);
      this.geometry.setAttribute("uv", new THREE.BufferAttribute(new Float32Array(coordinates), 2));
      this.geometry.setIndex(new THREE.BufferAttribute(new Uint32Array(triangles), 1));
    },
    async paint(url, name) {
      const map = await new THREE.TextureLoader().loadAsync(url);
      map.anisotropy = this.renderer.capabilities.getMaxAnisotropy();
      this.textured.map?.dispose();
      this.textured.map = map;
      this.textured.needsUpdate = true;
      this.$el.dataset.texture = name;
    },
    replace(buffer, material) {
      const count = buffer.byteLength / 16; // 12 bytes of position, 4 of color
      const first = !this.geometry.attributes.position;
      this.geometry.setAttribute("position", new THREE.BufferAttribute(new Float32Array(buffer, 0, 3 * count), 3));
      this.geometry.setAttribute("color", new THREE.BufferAttribute(new Uint8Array(buffer, 12 * count), 4, true));
      this.geometry.computeBoundingSphere();
      this.mesh.material = material;
      if (first) this.front();
      this.draw();
    },
    wireframe(on) {
      if (!this.renderer) return;
      this.edges.visible = on;
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
    key(event) {
      const ways = { ArrowLeft: [-1, 0, 1], ArrowRight: [1, 0, 1], ArrowUp: [0, -1, 1], ArrowDown: [0, 1, 1] };
      Object.assign(ways, { "+": [0, 0, 0.9], "=": [0, 0, 0.9], "-": [0, 0, 1 / 0.9] });
      if (!this.renderer || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "Home" || event.key === "0") this.front();
      else if (ways[event.key]) this.orbit(...ways[event.key]);
      else return;
      event.preventDefault();
    },
    orbit(around, down, nearer) {
      const step = THREE.MathUtils.degToRad(STEP);
      const offset = this.camera.position.clone().sub(this.controls.target);
      const place = new THREE.Spherical().setFromVector3(offset);
      place.theta += around * step;
      place.phi += down * step;
      place.radius *= nearer;
      this.camera.position.copy(this.controls.target).add(offset.setFromSpherical(place.makeSafe()));
      this.controls.update();
      this.draw();
    },
    resize() {
      const { clientWidth, clientHeight } = this.$el;
      if (!clientWidth || !clientHeight) return;
      const before = Math.min(1, this.camera.aspect);
      this.camera.aspect = clientWidth / clientHeight;
      const nearer = before / Math.min(1, this.camera.aspect); // the face keeps its share of the view
      const { target } = this.controls;
      this.camera.position.sub(target).multiplyScalar(nearer).add(target);
      this.controls.minDistance *= nearer;
      this.controls.maxDistance *= nearer;
      this.camera.updateProjectionMatrix();
      this.renderer.setSize(clientWidth, clientHeight);
      this.draw();
    },
    draw() {
      this.renderer.render(this.scene, this.camera);
    },
  },
};
