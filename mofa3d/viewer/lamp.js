// A ball with a lamp before it, which is dragged around the ball.
const STEP = 0.1; // radii per key

export default {
  template: `<div class="lamp" tabindex="0" role="application" title="Drag the lamp to light the face"
      aria-label="Lamp: drag it, or use the arrow keys, to light the face"
      @pointerdown.prevent="down" @pointermove="move" @pointerup="up" @pointercancel="up" @keydown="key">
      <svg viewBox="-1.3 -1.3 2.6 2.6">
        <defs><radialGradient :id="name" gradientUnits="userSpaceOnUse" :cx="right" :cy="-up" r="1.6">
          <stop offset="0" :stop-color="lit ? '#fff6d8' : '#b9c0c9'" /><stop offset="1" stop-color="#3a4350" />
        </radialGradient></defs>
        <circle r="1" :fill="'url(#' + name + ')'" />
        <circle class="bulb" :class="{ lit }" :cx="right" :cy="-up" r="0.2" />
      </svg>
    </div>`,
  props: { right: Number, up: Number, lit: Boolean },
  emits: ["aim", "settle"],
  computed: {
    name() {
      return `lamp-${this.$.uid}`;
    },
  },
  methods: {
    send(right, up) {
      const far = Math.max(1, Math.hypot(right, up));
      this.$emit("aim", [right / far, up / far]);
    },
    at(event) {
      const { left, top, width, height } = this.$el.getBoundingClientRect();
      return [(2.6 * (event.clientX - left)) / width - 1.3, 1.3 - (2.6 * (event.clientY - top)) / height];
    },
    down(event) {
      this.$el.setPointerCapture(event.pointerId);
      this.$el.focus();
      this.held = true;
      this.send(...this.at(event));
    },
    move(event) {
      if (this.held) this.send(...this.at(event));
    },
    up() {
      if (!this.held) return;
      this.held = false;
      this.$emit("settle");
    },
    key(event) {
      const ways = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, STEP], ArrowDown: [0, -STEP] };
      const way = ways[event.key];
      if (!way || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      event.stopPropagation();
      this.send(this.right + way[0], this.up + way[1]);
      this.$emit("settle");
    },
  },
};
