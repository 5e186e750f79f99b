// A photograph that is zoomed and moved, with another version of it behind a wipe, and frames around its faces.
const MOST = 16; // times larger than the whole photograph in the view
const STEP = 1.25; // of a key or a button
const QUIET = 350; // milliseconds after the last movement before all pixels are asked for
const CLICK = 5; // pixels that a pointer may move in a click

export default {
  template: `<div class="photo-view" tabindex="0" role="application" aria-label="Photograph" ref="view"
      @keydown="key" @wheel.prevent="wheel" @pointerdown="down" @pointermove="move" @pointerup="up"
      @pointercancel="up" @dblclick="twice" :class="{ zoomed: zoom > 1.001 }">
      <div class="photo-plane" :style="plane">
        <img class="after" alt="" draggable="false" :src="after || undefined">
        <img class="before" alt="" draggable="false" v-show="wiping" :src="before || undefined" :style="clip">
        <svg v-if="outlines.length > 1" viewBox="0 0 1 1" preserveAspectRatio="none">
          <polygon v-for="(corners, i) in outlines" :points="corners.join(' ')" :class="{ chosen: i === chosen }"
            @click="choose(i)"><title>Face {{ i + 1 }}</title></polygon>
        </svg>
      </div>
      <div v-if="wiping" class="wipe" role="slider" tabindex="0" aria-label="Before and after" aria-valuemin="0"
        aria-valuemax="100" :aria-valuenow="Math.round(100 * share)" :style="{ left: 100 * share + '%' }"
        @pointerdown.stop="grab" @pointermove="slide" @dblclick.stop @keydown.stop="nudge"><div></div></div>
      <div v-if="wiping" class="tag left">before</div><div v-if="wiping" class="tag right">after</div>
      <div class="zooms">
        <button aria-label="Zoom in" title="Zoom in (+)" @click="nearer(1.5)" @pointerdown.stop @dblclick.stop>+</button>
        <button aria-label="Zoom out" title="Zoom out (−)" @click="nearer(1 / 1.5)" @pointerdown.stop @dblclick.stop>−</button>
        <button aria-label="Whole photograph" title="Whole photograph (0)" @click="fit" @pointerdown.stop @dblclick.stop>⤢</button>
      </div>
    </div>`,
  props: { width: Number, height: Number, outlines: Array, chosen: Number, wiping: Boolean },
  emits: ["choose"],
  data: () => ({ before: "", after: "", zoom: 1, x: 0, y: 0, share: 0.5, size: [1, 1] }),
  computed: {
    scale() {
      return Math.min(this.size[0] / this.width, this.size[1] / this.height) * this.zoom; // CSS pixels per pixel
    },
    plane() {
      const { x, y, scale } = this;
      return { width: `${scale * this.width}px`, height: `${scale * this.height}px`, transform: `translate(${x}px, ${y}px)` };
    },
    clip() {
      const edge = Math.max(0, this.share * this.size[0] - this.x);
      return { clipPath: `inset(0 calc(100% - ${edge}px) 0 0)` };
    },
  },
  watch: {
    width() { this.fit(); },
    height() { this.fit(); },
    outlines() { this.fit(); },
    wiping() { this.load(); },
  },
  mounted() {
    this.pointers = new Map();
    this.observer = new ResizeObserver(() => {
      const { clientWidth, clientHeight } = this.$el;
      if (!clientWidth || !clientHeight) return;
      this.size = [clientWidth, clientHeight];
      this.place();
    });
    this.observer.observe(this.$el);
  },
  beforeUnmount() {
    this.observer?.disconnect();
    clearTimeout(this.quiet);
  },
  methods: {
    // The addresses of the photograph as it was and as it is to be; "&full=1" after them means all pixels.
    show(before, after) {
      this.wanted = { before, after };
      this.load();
    },
    // While a picture is loading, only the newest of the others waits.
    async load(full = false) {
      if (!this.wanted) return;
      if (this.loading) {
        this.again = true;
        return;
      }
      this.loading = true;
      const { before, after } = this.wanted, end = full ? "&full=1" : "";
      try {
        if (this.wiping && this.before !== before + end) this.before = await this.fetch(before + end);
        this.after = await this.fetch(after + end);
        this.$el.dataset.shown = after + end;
      } catch (error) {
        console.warn("the picture could not be loaded:", error);
      }
      this.loading = false;
      if (this.again) {
        this.again = false;
        this.load();
      } else if (!full) this.rest();
    },
    async fetch(url) {
      const image = new Image();
      image.src = url;
      await image.decode();
      this.pixels = image.naturalWidth;
      return url;
    },
    rest() {
      clearTimeout(this.quiet);
      this.quiet = setTimeout(() => {
        const needed = this.scale * this.width * window.devicePixelRatio;
        if (this.pixels < this.width && needed > 1.1 * this.pixels) this.load(true);
      }, QUIET);
    },
    fit() {
      this.zoom = 1;
      this.place();
    },
    // Keeps the photograph in the view, in its middle if it is smaller.
    place() {
      const within = (at, side, length) => (length <= side ? (side - length) / 2 : Math.min(0, Math.max(side - length, at)));
      this.x = within(this.x, this.size[0], this.scale * this.width);
      this.y = within(this.y, this.size[1], this.scale * this.height);
      this.rest();
    },
    nearer(factor, at = [this.size[0] / 2, this.size[1] / 2]) {
      const before = this.scale;
      this.zoom = Math.min(MOST, Math.max(1, this.zoom * factor));
      const share = this.scale / before;
      this.x = at[0] - share * (at[0] - this.x);
      this.y = at[1] - share * (at[1] - this.y);
      this.place();
    },
    shift(x, y) {
      this.x += x;
      this.y += y;
      this.place();
    },
    at(event) {
      const { left, top } = this.$refs.view.getBoundingClientRect();
      return [event.clientX - left, event.clientY - top];
    },
    wheel(event) {
      this.nearer(Math.exp(-0.002 * event.deltaY * (event.deltaMode ? 30 : 1)), this.at(event));
    },
    twice(event) {
      if (this.zoom > 1.001) this.fit();
      else this.nearer(3, this.at(event));
    },
    down(event) {
      this.pointers.set(event.pointerId, this.at(event));
      this.travelled = 0;
    },
    move(event) {
      const last = this.pointers.get(event.pointerId), now = this.at(event);
      if (!last) return;
      const others = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
      const distance = (place) => Math.hypot(place[0] - others[0][0], place[1] - others[0][1]);
      this.travelled += Math.hypot(now[0] - last[0], now[1] - last[1]);
      if (others.length) this.nearer(distance(now) / Math.max(1, distance(last)), others[0]);
      else if (this.travelled > CLICK) {
        this.$refs.view.setPointerCapture?.(event.pointerId);
        this.shift(now[0] - last[0], now[1] - last[1]);
      }
      this.pointers.set(event.pointerId, now);
    },
    up(event) {
      this.pointers.delete(event.pointerId);
    },
    choose(number) {
      if (this.travelled <= CLICK && number !== this.chosen) this.$emit("choose", number);
    },
    grab(event) {
      event.target.setPointerCapture(event.pointerId);
      this.grabbed = event.pointerId;
    },
    slide(event) {
      if (event.buttons && this.grabbed === event.pointerId) this.wipeTo(this.at(event)[0] / this.size[0]);
    },
    wipeTo(share) {
      this.share = Math.min(1, Math.max(0, share));
    },
    nudge(event) {
      const ways = { ArrowLeft: -0.02, ArrowRight: 0.02, Home: -1, End: 1 };
      if (!ways[event.key]) return;
      this.wipeTo(this.share + ways[event.key]);
      event.preventDefault();
    },
    key(event) {
      const far = 40;
      const ways = { ArrowLeft: [far, 0], ArrowRight: [-far, 0], ArrowUp: [0, far], ArrowDown: [0, -far] };
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "+" || event.key === "=") this.nearer(STEP);
      else if (event.key === "-") this.nearer(1 / STEP);
      else if (event.key === "0" || event.key === "Home") this.fit();
      else if (ways[event.key] && this.zoom > 1.001) this.shift(...ways[event.key]);
      else return;
      event.preventDefault();
    },
  },
};
