// The latent planes: decodes where one points, on a decoder's own weights, and shows what lies near.
// z is a place on a plane, [latent 1, latent 2]; an image is SIDE × SIDE values of ink in 0 … 1.

const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const stillness = matchMedia("(prefers-reduced-motion: reduce)");
const SIDE = data.size, FRAMES = 11, NEAR = 5, ZOOMS = 8, HUES = 10;
const MARGIN = 14; // of the plane's canvas, in pixels: a sign at the edge is whole

// ---- The decoder, as in models/networks.py ----

function floats(base64) { // little-endian, as is every machine with a browser
  return new Float32Array(Uint8Array.from(atob(base64), (one) => one.charCodeAt(0)).buffer);
}

class Decoder { // two linear layers, and transposed convolutions between images of these sides
  constructor(values, shapes, sides) {
    let at = 0;
    const arrays = shapes.map((shape) => values.subarray(at, (at += shape.reduce((a, b) => a * b))));
    const layers = shapes.flatMap((_, i) => (i % 2 ? [] : [{ weight: arrays[i], bias: arrays[i + 1] }]));
    this.linear = layers.slice(0, 2);
    this.convolutions = layers.slice(2).map((layer, i) => ({ ...layer, side: sides[i], out: sides[i + 1] }));
  }

  decode(z) { // the image, a Float32Array
    let x = z;
    for (const layer of this.linear) x = relu(linear(x, layer));
    this.convolutions.forEach((layer, i) => { x = transposed(i ? relu(x) : x, layer); });
    return Float32Array.from(x, (value) => 1 / (1 + Math.exp(-value)));
  }
}

const relu = (x) => x.map((value) => Math.max(0, value));

function linear(x, { weight, bias }) {
  return Float64Array.from(bias, (sum, row) => {
    for (let i = 0; i < x.length; i++) sum += weight[row * x.length + i] * x[i];
    return sum;
  });
}

// A transposed convolution, kernel 3, stride 2, with paddings of 0 or 1, as the sides tell.
function transposed(x, { weight, bias, side, out: outSide }) {
  const width = 2 * side + 2, area = width * width, outs = bias.length;
  const whole = new Float64Array(outs * area);
  bias.forEach((value, out) => whole.fill(value, out * area, (out + 1) * area));
  for (let i = 0; i < x.length; i++) {
    const value = x[i];
    if (value === 0) continue; // half of them, behind a ReLU
    const channel = Math.floor(i / (side * side)), place = i % (side * side);
    const corner = 2 * Math.floor(place / side) * width + 2 * (place % side);
    for (let out = 0, w = channel * outs * 9; out < outs; out++) {
      for (let row = 0, at = out * area + corner; row < 3; row++, at += width, w += 3) {
        whole[at] += value * weight[w];
        whole[at + 1] += value * weight[w + 1];
        whole[at + 2] += value * weight[w + 2];
      }
    }
  }
  const from = outSide > 2 * side ? 0 : 1; // rows and columns that padding takes away
  const kept = (place) => place >= from && place < from + outSide;
  return whole.filter((_, i) => kept(i % width) && kept(Math.floor(i / width) % width));
}

// ---- Drawing ----

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const stamp = Object.assign(document.createElement("canvas"), { width: SIDE, height: SIDE });

function inked(draw) { // the stamp with the ink of what `draw` draws, in the page's colour
  const pen = stamp.getContext("2d");
  pen.globalCompositeOperation = "copy";
  draw(pen);
  pen.globalCompositeOperation = "source-in";
  pen.fillStyle = colour("ink");
  pen.fillRect(0, 0, SIDE, SIDE);
  return stamp;
}

function decodedStamp(image) {
  const pixels = new ImageData(SIDE, SIDE);
  image.forEach((value, i) => { pixels.data[4 * i + 3] = Math.round(255 * value); });
  return inked((pen) => pen.putImageData(pixels, 0, 0));
}

function storedStamp(index) {
  const sheet = byId("images"), columns = sheet.naturalWidth / SIDE;
  const x = index % columns * SIDE, y = Math.floor(index / columns) * SIDE;
  return inked((pen) => pen.drawImage(sheet, x, y, SIDE, SIDE, 0, 0, SIDE, SIDE));
}

function fitted(canvas) { // its pen, cleared and in CSS pixels, as sharp as the screen
  const { clientWidth: width, clientHeight: height } = canvas, ratio = devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  return pen;
}

function show(canvas, image) { // fills the canvas with a stamp, or nothing
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.imageSmoothingEnabled = false;
  if (image) pen.drawImage(image, 0, 0, canvas.width, canvas.height);
}

function disc(pen, [x, y], radius) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  return pen;
}

function cross(pen, [x, y]) { // open in the middle, so that one sees what it points at
  pen.beginPath();
  for (const [a, b] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
    pen.moveTo(x + 5 * a, y + 5 * b);
    pen.lineTo(x + 14 * a, y + 14 * b);
  }
}

function haloed(pen, name) { // strokes what was drawn, to be seen on a crowd of signs
  for (const [width, paint] of [[6, "sheet"], [2, name]]) {
    pen.lineWidth = width;
    pen.strokeStyle = colour(paint);
    pen.stroke();
  }
}

// ---- What both planes share ----

const shared = { labels: new Set(), image: null, decoded: false };
const isLabelled = data.classes.length > 0;
const classOf = (image) => data.classes[data.labels[image]];
const hueOf = (image) => (isLabelled ? `d${data.labels[image] % HUES}` : "accent");
const nameOf = (image) => `${isLabelled ? `${classOf(image).one}, ` : ""}image ${data.index[image]} of ${data.source}`;
const isShown = (index) => !shared.labels.size || shared.labels.has(data.labels[index]);
const between = (a, b, t) => [0, 1].map((axis) => a[axis] + t * (b[axis] - a[axis]));
const distance = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const number = (value) => String(Number(value.toFixed(2)) || 0).replace("-", "−");
const spoken = (z) => z.map(number).join(", ");

let saying;
function say(text) { // once it has settled
  clearTimeout(saying);
  saying = setTimeout(() => { byId("status").textContent = text; }, 400);
}

class Plane {
  constructor(section, { bound, title, shapes, sides, weights, z }) {
    Object.assign(this, { section, bound, title, decoder: new Decoder(floats(weights), shapes, sides) });
    const pairs = floats(z);
    this.points = data.index.map((_, i) => [pairs[2 * i], pairs[2 * i + 1]]);
    this.view = { zoom: 1, centre: [0, 0] };
    this.pinned = this.z = [0, 0];
    this.path = { start: null, end: null };
    this.backdrop = document.createElement("canvas"); // all that stays while one points
    this.map = this.one(".map");
    this.sliders = [...section.querySelectorAll(".latent")];
    this.listen();
  }

  one(selector) { return this.section.querySelector(selector); }

  // Places: z to CSS pixels of the map, and back.
  get size() { return this.map.clientWidth; }
  get scale() { return (this.size / 2 - MARGIN) * this.view.zoom / this.bound; }
  pixel([x, y]) {
    const [a, b] = this.view.centre;
    return [this.size / 2 + (x - a) * this.scale, this.size / 2 - (y - b) * this.scale];
  }
  place([x, y]) {
    const [a, b] = this.view.centre;
    return this.within([a + (x - this.size / 2) / this.scale, b - (y - this.size / 2) / this.scale]);
  }
  within(z) { return z.map((value) => clamp(value, -this.bound, this.bound)); }

  nearest(z, count) { // indices of shown images, the nearest first
    const far = this.points.map((point) => distance(point, z));
    return far.map((_, i) => i).filter(isShown).sort((a, b) => far[a] - far[b]).slice(0, count);
  }
  under(pixels, reach) { // the shown image whose point is there, or null
    const [best] = this.nearest(this.place(pixels), 1);
    return best !== undefined && distance(this.pixel(this.points[best]), pixels) < reach ? best : null;
  }

  describe(z) {
    const labels = isLabelled ? this.nearest(z, NEAR).map((i) => data.labels[i]) : [];
    if (!labels.length) return `z ${spoken(z)}`;
    const count = (label) => labels.filter((one) => one === label).length;
    const most = labels.reduce((a, b) => (count(b) > count(a) ? b : a));
    return `z ${spoken(z)}; ${count(most)} of ${labels.length} nearest points are ${data.classes[most].many}`;
  }

  // What one sees at z, `peek` being an image that is pointed at.
  see(z, peek = null) {
    this.z = z;
    const text = this.describe(z);
    this.one(".says").textContent = text;
    const here = this.one(".decoded-here");
    show(here, decodedStamp(this.decoder.decode(z)));
    here.setAttribute("aria-label", `Decoded at ${text}`);
    this.sliders.forEach((slider, axis) => {
      slider.value = z[axis];
      slider.setAttribute("aria-valuetext", number(z[axis]));
    });
    this.drawMap(peek);
    return text;
  }
  pin(z) { // and stay there
    this.pinned = this.within(z);
    say(`${this.title}: ${this.see(this.pinned)}`);
    remember();
  }

  drawBackdrop() {
    const [canvas, size] = [this.backdrop, this.size], ratio = devicePixelRatio || 1;
    canvas.width = canvas.height = Math.round(size * ratio);
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (shared.decoded) return this.drawDecoded(pen, size);
    this.drawAxes(pen, size);
    this.drawImages(pen);
  }
  drawAxes(pen, size) {
    const span = 2 * this.bound / this.view.zoom;
    const step = [0.1, 0.2, 0.5, 1, 2, 5, 10].find((one) => span / one <= 7) ?? 20;
    pen.font = "11px system-ui, sans-serif";
    for (let k = Math.ceil(-this.bound / step); k * step <= this.bound; k++) {
      const [x, y] = this.pixel([k * step, k * step]).map(Math.round);
      pen.fillStyle = colour("line");
      pen.globalAlpha = k ? 0.6 : 1;
      pen.fillRect(x, 0, 1, size);
      pen.fillRect(0, y, size, 1);
      pen.globalAlpha = 1;
      pen.fillStyle = colour("faint");
      pen.fillText(number(k * step), x + 3, size - 5);
      if (k) pen.fillText(number(k * step), 5, y - 3);
    }
  }
  drawImages(pen) {
    const tints = new Map(this.points.map((_, i) => [hueOf(i), null]));
    for (const hue of tints.keys()) tints.set(hue, colour(hue));
    pen.font = `700 ${this.size < 400 ? 9 : 11}px system-ui, sans-serif`;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.globalAlpha = 0.85;
    this.points.forEach((point, i) => {
      if (!isShown(i)) return;
      pen.fillStyle = tints.get(hueOf(i));
      if (isLabelled) pen.fillText(classOf(i).sign, ...this.pixel(point));
      else disc(pen, this.pixel(point), 2.5).fill();
    });
  }
  drawDecoded(pen, size) {
    const count = Math.round(size / 30), step = size / count;
    for (let row = 0; row < count; row++) {
      for (let column = 0; column < count; column++) {
        const middle = [(column + 0.5) * step, (row + 0.5) * step];
        const image = decodedStamp(this.decoder.decode(this.place(middle)));
        pen.drawImage(image, column * step, row * step, step, step);
      }
    }
  }

  drawMap(peek) {
    const pen = fitted(this.map), image = peek ?? shared.image;
    pen.drawImage(this.backdrop, 0, 0, this.size, this.size);
    const { start, end } = this.path;
    pen.fillStyle = colour("accent");
    if (start && end) {
      pen.beginPath();
      pen.moveTo(...this.pixel(start));
      pen.lineTo(...this.pixel(end));
      haloed(pen, "accent");
    }
    for (const one of [start, end]) if (one) disc(pen, this.pixel(one), 5).fill();
    if (image !== null) {
      disc(pen, this.pixel(this.points[image]), 10);
      haloed(pen, hueOf(image));
    }
    cross(pen, this.pixel(this.z));
    haloed(pen, "ink");
    this.drawCard(image);
  }
  drawCard(index) {
    if (index === this.carded) return;
    this.carded = index;
    const [image, again] = [this.one(".image"), this.one(".again")];
    const name = index === null ? "" : nameOf(index);
    this.one(".card").classList.toggle("empty", index === null);
    show(image, index === null ? null : storedStamp(index));
    show(again, index === null ? null : decodedStamp(this.decoder.decode(this.points[index])));
    image.setAttribute("aria-label", name || "No image chosen");
    again.setAttribute("aria-label", name ? `What is drawn of ${name}` : "No image chosen");
    this.one(".label").textContent = name ? name[0].toUpperCase() + name.slice(1)
      : `Press a ${data.point} on the plane to see its image, and what the model draws of it.`;
  }

  // The path and its film.
  along(t) { return between(this.path.start, this.path.end, t); }
  drawFilm() {
    const { start, end } = this.path, strip = this.one(".strip"), whole = Boolean(start && end);
    const pen = fitted(strip), step = strip.clientWidth / FRAMES;
    for (let i = 0; whole && i < FRAMES; i++) {
      pen.drawImage(decodedStamp(this.decoder.decode(this.along(i / (FRAMES - 1)))), i * step, 0, step, step);
    }
    if (!whole) {
      pen.font = "13px system-ui, sans-serif";
      pen.fillStyle = colour("faint");
      pen.textAlign = "center";
      pen.textBaseline = "middle";
      const hint = start || end ? "Now choose the other end" : "A path becomes a film here";
      pen.fillText(hint, strip.clientWidth / 2, strip.clientHeight / 2);
    }
    strip.setAttribute("aria-label", whole
      ? `${FRAMES} decoded ${data.image}s from ${spoken(start)} to ${spoken(end)}` : "No path yet");
    this.one(".play").disabled = this.one(".playhead").disabled = !whole;
  }
  setPath(path) {
    this.stop();
    Object.assign(this.path, path);
    this.one(".playhead").value = 0;
    this.drawFilm();
    this.see(this.pinned);
    remember();
  }
  travel(t) {
    this.one(".playhead").value = t;
    this.pinned = this.along(t);
    this.see(this.pinned);
  }
  play() {
    this.stop();
    const head = this.one(".playhead"), from = head.value < 1 ? Number(head.value) : 0;
    const begun = performance.now();
    const frame = (now) => {
      let t = Math.min(1, from + (now - begun) / 4000);
      if (stillness.matches) t = Math.round(t * (FRAMES - 1)) / (FRAMES - 1); // steps, no glide
      this.travel(t);
      if (t < 1) this.playing = requestAnimationFrame(frame);
      else this.stop();
    };
    this.one(".play").textContent = "Pause";
    this.playing = requestAnimationFrame(frame);
  }
  stop() {
    if (!this.playing) return;
    cancelAnimationFrame(this.playing);
    this.playing = null;
    this.one(".play").textContent = "Play";
    this.pin(this.pinned);
  }

  zoomTo(zoom, centre) {
    const reach = this.bound * (1 - 1 / zoom); // the view stays on the plane
    this.view = { zoom, centre: centre.map((value) => clamp(value, -reach, reach)) };
    this.one(".in").disabled = zoom >= ZOOMS;
    this.one(".out").disabled = zoom <= 1;
    this.redraw();
  }
  redraw() {
    this.carded = undefined;
    this.drawBackdrop();
    this.drawFilm();
    this.see(this.z);
  }

  save() {
    const edge = 28, size = 560, small = 112, strip = size / FRAMES, gap = 16;
    const canvas = document.createElement("canvas");
    const film = this.path.start && this.path.end;
    canvas.width = 2 * (size + 2 * edge);
    canvas.height = 2 * (2 * edge + size + gap + small + (film ? gap + strip : 0));
    const pen = canvas.getContext("2d");
    pen.scale(2, 2);
    pen.fillStyle = colour("sheet");
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(this.map, edge, edge, size, size);
    const below = edge + size + gap;
    pen.drawImage(this.one(".decoded-here"), edge, below, small, small);
    pen.fillStyle = colour("ink");
    pen.font = "600 18px system-ui, sans-serif";
    pen.fillText(this.title, edge + small + gap, below + 48);
    pen.font = "15px system-ui, sans-serif";
    pen.fillText(this.describe(this.z), edge + small + gap, below + 74);
    if (film) pen.drawImage(this.one(".strip"), edge, below + small + gap, size, strip);
    canvas.toBlob((blob) => {
      const href = URL.createObjectURL(blob);
      Object.assign(document.createElement("a"), { href, download: `latent-plane-${this.section.id}.png` }).click();
      setTimeout(() => URL.revokeObjectURL(href), 10_000);
    });
  }

  listen() {
    const map = this.map;
    const at = (event) => {
      const box = map.getBoundingClientRect();
      return [event.clientX - box.left - map.clientLeft, event.clientY - box.top - map.clientTop];
    };
    const peekAt = (pixels) => {
      const peek = this.under(pixels, 9);
      this.see(this.place(pixels), peek);
      for (const one of planes) if (one !== this) one.drawMap(peek);
    };
    let down = null;
    map.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      this.stop();
      down = at(event);
      map.setPointerCapture(event.pointerId);
      peekAt(down);
    });
    map.addEventListener("pointermove", (event) => {
      const mouse = event.pointerType === "mouse";
      if (this.playing || !(mouse || down)) return;
      const pixels = at(event);
      if (mouse && down && distance(down, pixels) > 8) {
        Object.assign(this.path, { start: this.place(down), end: this.place(pixels) });
        this.drawFilm();
      }
      peekAt(pixels);
    });
    map.addEventListener("pointerup", (event) => {
      if (!down) return;
      const pixels = at(event), tapped = distance(down, pixels) <= 8, from = down;
      down = null;
      if (tapped) {
        const image = this.under(pixels, event.pointerType === "mouse" ? 9 : 18);
        if (image !== null) return this.take(image);
        choose(null);
        this.pin(this.place(pixels));
      } else if (event.pointerType === "mouse") {
        this.pinned = this.place(from);
        this.setPath({ start: this.place(from), end: this.place(pixels) });
        this.begin();
      } else this.pin(this.place(pixels));
    });
    map.addEventListener("pointercancel", () => { down = null; });
    map.addEventListener("pointerleave", () => {
      if (down || this.playing) return;
      for (const one of planes) one.see(one.pinned);
    });
    map.addEventListener("keydown", (event) => {
      const step = 2 * this.bound / this.view.zoom / (event.shiftKey ? 400 : 40);
      const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
      const [x, y] = this.pinned, move = moves[event.key];
      if (event.altKey || event.ctrlKey || event.metaKey) return;
      if (move) this.moveTo([x + move[0], y + move[1]]);
      else if (event.key === "Home") this.moveTo([0, 0]);
      else if (event.key === "Enter") {
        const [image] = this.nearest(this.pinned, 1);
        if (image !== undefined) this.take(image);
      } else if (event.key === "Escape") {
        choose(null);
        this.setPath({ start: null, end: null });
      } else return;
      event.preventDefault();
    });
    this.sliders.forEach((slider, axis) => slider.addEventListener("input", () => {
      this.moveTo(this.pinned.map((value, i) => (i === axis ? Number(slider.value) : value)));
    }));
    const press = (selector, act) => this.one(selector).addEventListener("click", act);
    press(".in", () => this.zoomTo(this.view.zoom * 2, this.pinned));
    press(".out", () => this.zoomTo(this.view.zoom / 2, this.pinned));
    press(".start", () => this.setPath({ start: this.pinned }));
    press(".end", () => this.setPath({ end: this.pinned }));
    press(".play", () => (this.playing ? this.stop() : this.play()));
    press(".save", () => this.save());
    this.one(".playhead").addEventListener("input", (event) => {
      const t = Number(event.target.value);
      this.stop();
      this.travel(t);
      this.pin(this.pinned);
    });
    new ResizeObserver(() => { if (this.size) this.redraw(); }).observe(map);
  }
  take(image) {
    choose(image);
    this.moveTo(this.points[image]);
    say(`${this.title}: ${nameOf(image)}; ${this.describe(this.pinned)}`);
  }
  moveTo(z) {
    this.stop();
    this.pin(z);
    const [x, y] = this.pixel(this.pinned);
    if (Math.min(x, y) < 0 || Math.max(x, y) > this.size) this.zoomTo(this.view.zoom, this.pinned);
  }
  follow(start, end) { // from the median of a class to that of another
    const { medians } = data.planes[this.section.id];
    this.stop();
    this.pinned = medians[start];
    this.setPath({ start: medians[start], end: medians[end] });
  }
  begin() { // a path's film plays by itself, but for those who want no motion
    if (!stillness.matches) this.play();
  }
}

// ---- The whole page ----

await byId("images").decode();
document.documentElement.classList.add("live");
const planes = Object.entries(data.planes).map(([name, one]) => new Plane(byId(name), one));
const labelButtons = [...document.querySelectorAll(".label-button")];

function choose(image) {
  shared.image = image;
  for (const one of planes) one.see(one.pinned);
  remember();
}

function filter(labels) {
  shared.labels = new Set(labels);
  for (const button of labelButtons) button.setAttribute("aria-pressed", shared.labels.has(Number(button.value)));
  byId("all")?.setAttribute("aria-pressed", !shared.labels.size);
  for (const one of planes) one.redraw();
}

// A link to what is seen: #labels=3,8&image=12&show=decoded&ae_2d=x,y&ae_2d.path=…&ae_2d.view=zoom,x,y
const exact = (values) => values.map((value) => Number(value.toFixed(4))).join(",");
function hash() {
  const parts = [];
  if (shared.labels.size) parts.push(`labels=${[...shared.labels].sort((a, b) => a - b).join(",")}`);
  if (shared.image !== null) parts.push(`image=${shared.image}`);
  if (shared.decoded) parts.push("show=decoded");
  for (const { section: { id }, pinned, path: { start, end }, view: { zoom, centre } } of planes) {
    parts.push(`${id}=${exact(pinned)}`);
    if (start && end) parts.push(`${id}.path=${exact([...start, ...end])}`);
    if (zoom > 1) parts.push(`${id}.view=${exact([zoom, ...centre])}`);
  }
  return `#${parts.join("&")}`;
}
let remembering;
function remember() {
  clearTimeout(remembering); // browsers refuse hundreds of changes
  remembering = setTimeout(() => { if (hash() !== location.hash) history.replaceState(null, "", hash()); }, 300);
}
function restore() {
  const found = new URLSearchParams(location.hash.slice(1));
  const numbers = (name, count) => {
    const values = (found.get(name) ?? "").split(",").map(Number);
    return values.length === count && values.every(Number.isFinite) ? values : null;
  };
  const image = Number(found.get("image") ?? NaN);
  shared.image = image in data.index ? image : null;
  shared.decoded = found.get("show") === "decoded";
  document.querySelector(`[name=show][value=${shared.decoded ? "decoded" : "images"}]`).checked = true;
  for (const one of planes) {
    const { id } = one.section;
    const path = numbers(`${id}.path`, 4), [zoom, ...centre] = numbers(`${id}.view`, 3) ?? [1, 0, 0];
    one.stop();
    one.pinned = one.z = one.within(numbers(id, 2) ?? [0, 0]);
    one.path = path ? { start: one.within(path.slice(0, 2)), end: one.within(path.slice(2)) } : { start: null, end: null };
    one.zoomTo([1, 2, 4, ZOOMS].includes(zoom) ? zoom : 1, centre);
  }
  filter((found.get("labels")?.split(",") ?? []).map(Number).filter((label) => label in labelButtons));
  const [start, end] = document.querySelector(".preset")?.value.split(",") ?? [];
  if (![...found].length && start) for (const one of planes) one.follow(start, end);
  remember();
}

for (const button of labelButtons) {
  button.addEventListener("click", () => {
    const label = Number(button.value);
    filter(shared.labels.has(label) ? [...shared.labels].filter((one) => one !== label) : [...shared.labels, label]);
    remember();
  });
}
byId("all")?.addEventListener("click", () => { filter([]); remember(); });
for (const choice of document.querySelectorAll("[name=show]")) {
  choice.addEventListener("change", () => {
    shared.decoded = choice.value === "decoded";
    for (const one of planes) one.redraw();
    remember();
  });
}
for (const button of document.querySelectorAll(".preset")) {
  button.addEventListener("click", () => {
    for (const one of planes) {
      one.follow(...button.value.split(","));
      one.begin();
    }
  });
}
function inform(button, text) { // for two seconds
  const before = button.textContent;
  say(button.textContent = text);
  setTimeout(() => { button.textContent = before; }, 2000);
}
byId("copy").addEventListener("click", async () => {
  try {
    history.replaceState(null, "", hash());
    await navigator.clipboard.writeText(location.href);
    inform(byId("copy"), "Copied");
  } catch {
    inform(byId("copy"), "The address bar has it");
  }
});

const repaint = () => planes.forEach((one) => one.redraw());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
for (const [event, printing] of [["beforeprint", true], ["afterprint", false]]) {
  addEventListener(event, () => { document.documentElement.classList.toggle("printing", printing); repaint(); });
}
addEventListener("hashchange", restore);

restore();
// For the console: latentPlanes.ae_2d([0.4, -1.2]) is the decoded image.
globalThis.latentPlanes = Object.fromEntries(planes.map((one) => [one.section.id, (z) => one.decoder.decode(z)]));
