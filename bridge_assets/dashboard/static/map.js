/* The map of bridges: outlines of states and counties, and what the server counted for the view, on a canvas.

   No tiles and no library. Coordinates are those of the plane of Web Mercator, 0 to 1. The server is told the view when
   it comes to rest; until its answer is here, what was drawn before moves with the map. */

const WORLD = 256, MIN_ZOOM = 1.5, MAX_ZOOM = 17, COUNTY_ZOOM = 6, REST_MS = 120;

/* Outlines are read once for the page, and kept as paths in the plane. */
const outlines = {};
function outline(name, redraw) {
  if (!outlines[name]) {
    outlines[name] = { path: null };
    const address = new URL(`app/static/outlines/${name}.json`, document.baseURI);
    fetch(address).then((answer) => answer.json()).then((topology) => {
      outlines[name] = pathsOf(topology, name);
      redraw();
    }).catch(() => { delete outlines[name]; });
  }
  return outlines[name];
}

/* TopoJSON: arcs are differences of whole numbers, shared between neighbours; a negative index runs backwards. */
function pathsOf(topology, name) {
  const { scale, translate } = topology.transform;
  const arcs = topology.arcs.map((arc) => {
    let x = 0, y = 0;
    return arc.map(([dx, dy]) => {
      x += dx; y += dy;
      return mercator(x * scale[0] + translate[0], y * scale[1] + translate[1]);
    });
  });
  const land = new Path2D(), lines = new Path2D();
  for (const { type, arcs: parts } of topology.objects[name].geometries) {
    for (const polygon of type === "MultiPolygon" ? parts : type === "Polygon" ? [parts] : []) {
      for (const ring of polygon) {
        let first = true;
        for (const index of ring) {
          const arc = index < 0 ? [...arcs[~index]].reverse() : arcs[index];
          for (const [x, y] of arc) { if (first) land.moveTo(x, y); else land.lineTo(x, y); first = false; }
        }
        land.closePath();
      }
    }
  }
  for (const arc of arcs) arc.forEach(([x, y], place) => (place ? lines.lineTo(x, y) : lines.moveTo(x, y)));
  return { path: lines, land };
}

function mercator(longitude, latitude) {
  const angle = Math.min(Math.max(latitude, -85), 85) * Math.PI / 180;
  return [(longitude + 180) / 360, 0.5 - Math.log(Math.tan(Math.PI / 4 + angle / 2)) / (2 * Math.PI)];
}

/* One map: the component is called again with new data for the same element. */
const maps = new WeakMap();

export default function (component) {
  const root = component.parentElement;
  let map = maps.get(root);
  if (!map) { map = new BridgeMap(root); maps.set(root, map); }
  map.take(component);
  return () => map.stop();
}

class BridgeMap {
  constructor(root) {
    this.frame = root.querySelector(".map");
    this.canvas = root.querySelector("canvas");
    this.tip = root.querySelector(".tip");
    this.status = root.querySelector(".status");
    this.legends = root.querySelector(".legend");
    this.pointers = new Map();
    this.frame.addEventListener("keydown", (event) => this.key(event));
    this.canvas.addEventListener("pointerdown", (event) => this.down(event));
    this.canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) this.canvas.addEventListener(name, (event) => this.up(event));
    this.canvas.addEventListener("pointerleave", () => this.hover(null));
    this.canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    for (const button of root.querySelectorAll("button[data-zoom]")) {
      button.addEventListener("click", () => this.zoomBy(Number(button.dataset.zoom)));
    }
    root.querySelector("button[data-home]").addEventListener("click", () => this.goHome());
    this.sizes = new ResizeObserver(() => { this.draw(); this.tell(); });
  }

  take({ data, setStateValue, setTriggerValue }) {
    this.setStateValue = setStateValue;
    this.setTriggerValue = setTriggerValue;
    this.data = data;
    // On a phone less high than wide, so that a finger finds the page beside it.
    this.frame.style.height = `min(${data.height}px, max(280px, ${0.95 * this.frame.clientWidth}px))`;
    // A new selection: the server says where to look.
    if (!this.view || data.selection !== this.selection) {
      this.selection = data.selection;
      this.view = this.fit(data.view);
    }
    this.legend();
    this.status.textContent = data.summary;
    this.sizes.observe(this.frame);
    // The theme may change without a word.
    clearInterval(this.watch);
    this.watch = setInterval(() => { if (this.background() !== this.drawnOn) this.draw(); }, 400);
    this.draw();
    this.tell();
  }

  stop() {
    clearInterval(this.watch);
    clearTimeout(this.rest);
    this.sizes.disconnect();
  }

  goHome() { this.view = this.fit(this.data.home); this.draw(); this.tell(); }

  /* A view as seen here: what it shows in its own size is shown in the size of this frame. */
  fit(view) {
    const [width, height] = this.size();
    const larger = width ? Math.log2(Math.min(width / view.width, height / view.height)) : 0;
    return { x: view.x, y: view.y, zoom: Math.min(Math.max(view.zoom + larger, MIN_ZOOM), MAX_ZOOM) };
  }

  legend() {
    const share = (limit) => `${Math.round(limit * 100)} %`;
    const { colour_by, poor_limits, probability_limits, cells } = this.data;
    const ranges = (limits) => [...limits.map((limit) => `up to ${share(limit)}`), `over ${share(limits.at(-1))}`];
    const [title, names, texts] = colour_by === "probability"
      ? ["Chance of a lower rating", [0, 1, 2, 3, 4].map((level) => `level-${level}`), ranges(probability_limits)]
      : cells.length ? ["Share of Poor bridges", ["good", "fair", "poor"], ranges(poor_limits)]
        : ["Condition", ["good", "fair", "poor"], ["Good (7 to 9)", "Fair (5, 6)", "Poor (0 to 4)"]];
    const entry = (text, name) => {
      const element = document.createElement("span");
      if (name) element.append(Object.assign(document.createElement("i"), { style: `background: var(--map-${name})` }));
      element.append(text);
      return element;
    };
    this.legends.replaceChildren(entry(`${title}:`), ...texts.map((text, place) => entry(text, names[place])));
  }

  size() { return [this.frame.clientWidth, this.frame.clientHeight]; }
  scale() { return WORLD * 2 ** this.view.zoom; }

  /* Tell the server the view once it has not moved for a moment. */
  tell() {
    const [width, height] = this.size();
    if (!width) return;
    const round = (number) => Number(number.toFixed(9));
    const { x, y, zoom } = this.view;
    const view = { x: round(x), y: round(y), zoom: round(zoom), width, height, selection: this.selection };
    const text = JSON.stringify(view);
    if (text === this.told) return;
    clearTimeout(this.rest);
    this.rest = setTimeout(() => { this.told = text; this.setStateValue("view", view); }, REST_MS);
  }

  moveBy(dx, dy) {
    this.view.x = Math.min(Math.max(this.view.x - dx / this.scale(), 0), 1);
    this.view.y = Math.min(Math.max(this.view.y - dy / this.scale(), 0), 1);
    this.draw(); this.tell();
  }

  /* Zoom, keeping the place under a pixel where it is; without one, the centre. */
  zoomBy(steps, px, py) {
    const [width, height] = this.size();
    const dx = (px ?? width / 2) - width / 2, dy = (py ?? height / 2) - height / 2;
    const before = this.scale();
    this.view.zoom = Math.min(Math.max(this.view.zoom + steps, MIN_ZOOM), MAX_ZOOM);
    const after = this.scale();
    this.view.x += dx / before - dx / after;
    this.view.y += dy / before - dy / after;
    this.hover(null); this.draw(); this.tell();
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== this.frame) return;
    const steps = { ArrowLeft: [80, 0], ArrowRight: [-80, 0], ArrowUp: [0, 80], ArrowDown: [0, -80] }[event.key];
    if (steps) this.moveBy(...steps);
    else if (event.key === "+" || event.key === "=") this.zoomBy(1);
    else if (event.key === "-" || event.key === "_") this.zoomBy(-1);
    else if (event.key === "0" || event.key === "Home") this.goHome();
    else return;
    event.preventDefault();
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  down(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, this.place(event));
    this.dragged = 0;
  }

  move(event) {
    const now = this.place(event), before = this.pointers.get(event.pointerId);
    if (!before) { this.hover(this.at(now), now); return; }
    if (this.pointers.size === 2) {
      const [other] = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
      const apart = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]) || 1;
      this.zoomBy(Math.log2(apart(now, other) / apart(before, other)), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
      this.dragged = 99;
    } else {
      this.dragged += Math.abs(now[0] - before[0]) + Math.abs(now[1] - before[1]);
      this.moveBy(now[0] - before[0], now[1] - before[1]);
    }
    this.pointers.set(event.pointerId, now);
  }

  up(event) {
    const place = this.pointers.get(event.pointerId);
    this.pointers.delete(event.pointerId);
    if (!place || event.type === "pointercancel" || this.dragged > 5) return;
    const found = this.at(place);
    if (found && found.key) this.setTriggerValue("opened", found.key);
    else if (found) this.zoomBy(2, ...place);
  }

  wheel(event) {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 20 : 1;
    this.zoomBy(Math.max(Math.min(-event.deltaY * lines / 300, 1), -1), ...this.place(event));
  }

  /* What is under a pixel: the nearest circle that contains it. */
  at([px, py]) {
    let best = null, nearest = 14;
    for (const mark of this.marks ?? []) {
      const distance = Math.hypot(mark.px - px, mark.py - py) - mark.radius;
      if (distance < Math.min(nearest, 4)) { nearest = distance; best = mark; }
    }
    return best;
  }

  hover(mark, place) {
    this.canvas.style.cursor = mark ? "pointer" : "grab";
    this.tip.hidden = !mark;
    if (!mark) return;
    this.tip.replaceChildren(...mark.lines.map((line, number) => {
      const element = document.createElement(number ? "div" : "strong");
      element.textContent = line;  // text of the files: never markup
      return element;
    }));
    const [width, height] = this.size();
    this.tip.style.left = `${Math.min(place[0] + 14, width - this.tip.offsetWidth - 8)}px`;
    this.tip.style.top = `${Math.min(place[1] + 14, height - this.tip.offsetHeight - 8)}px`;
  }

  background() { return getComputedStyle(this.frame).getPropertyValue("--st-background-color").trim(); }

  colours() {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    canvas.fillStyle = this.background() || "#ffffff";
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue] = canvas.getImageData(0, 0, 1, 1).data;
    return this.data.colours[0.3 * red + 0.6 * green + 0.1 * blue < 128 ? "dark" : "light"];
  }

  draw() {
    cancelAnimationFrame(this.next);
    this.next = requestAnimationFrame(() => this.drawNow());
  }

  drawNow() {
    const [width, height] = this.size();
    if (!width || !this.view) return;
    const ratio = window.devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
    }
    const paint = this.canvas.getContext("2d"), colours = this.colours(), scale = this.scale();
    this.drawnOn = this.background();
    for (const element of [this.frame, this.legends, this.status]) {
      for (const [name, colour] of Object.entries(colours)) element.style.setProperty(`--map-${name}`, colour);
      colours.levels.forEach((colour, level) => element.style.setProperty(`--map-level-${level}`, colour));
    }
    paint.setTransform(ratio, 0, 0, ratio, 0, 0);
    paint.fillStyle = colours.wash;
    paint.fillRect(0, 0, width, height);
    const left = width / 2 - this.view.x * scale, top = height / 2 - this.view.y * scale;
    paint.setTransform(ratio * scale, 0, 0, ratio * scale, ratio * left, ratio * top);
    const states = outline("states", () => this.draw());
    const counties = this.view.zoom >= COUNTY_ZOOM ? outline("counties", () => this.draw()) : {};
    paint.fillStyle = colours.card;
    if (states.land) paint.fill(states.land, "evenodd");
    paint.strokeStyle = colours.line;
    paint.lineWidth = 0.8 / scale;
    if (counties.path) paint.stroke(counties.path);
    paint.strokeStyle = colours.soft;
    paint.lineWidth = (this.view.zoom >= COUNTY_ZOOM ? 1.4 : 0.7) / scale;
    if (states.path) paint.stroke(states.path);
    paint.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.marks = this.data.cells.length ? this.cellMarks(colours) : this.bridgeMarks(colours);
    for (const mark of this.marks) {
      mark.px = mark.x * scale + left;
      mark.py = mark.y * scale + top;
      if (mark.px < -40 || mark.py < -40 || mark.px > width + 40 || mark.py > height + 40) continue;
      paint.beginPath();
      paint.arc(mark.px, mark.py, mark.radius, 0, 2 * Math.PI);
      paint.fillStyle = mark.colour;
      paint.globalAlpha = 0.88;
      paint.fill();
      paint.globalAlpha = 1;
      paint.strokeStyle = colours.card;
      paint.lineWidth = 1;
      paint.stroke();
    }
    this.frame.dataset.drawn = String(this.marks.length);
  }

  cellMarks(colours) {
    const most = Math.max(...this.data.cells.map((cell) => cell[2]));
    return this.data.cells.map(([x, y, count, poor, probability]) => ({
      x, y, radius: 2.5 + 10.5 * Math.sqrt(count / most),
      colour: this.data.colour_by === "probability" ? this.level(probability, colours) : this.shade(poor / count, colours),
      lines: [
        `${count.toLocaleString("en-US")} ${count === 1 ? "bridge" : "bridges"}`,
        `${poor.toLocaleString("en-US")} Poor (${percent(poor / count)})`,
        ...(probability === null ? [] : [`average chance of a lower rating: ${percent(probability)}`]),
      ],
    }));
  }

  bridgeMarks(colours) {
    return this.data.bridges.map(([x, y, key, carried, crossed, condition, probability]) => ({
      x, y, key, radius: 5.5,
      colour: this.data.colour_by === "probability" ? this.level(probability, colours)
        : condition === null ? colours.soft : condition >= 7 ? colours.good : condition >= 5 ? colours.fair : colours.poor,
      lines: [
        [carried, crossed].filter(Boolean).join(" over ") || key,
        key,
        condition === null ? "no rating" : `rating ${condition}`,
        ...(probability === null ? [] : [`chance of a lower rating: ${percent(probability)}`]),
      ],
    }));
  }

  shade(share, colours) {
    return share <= this.data.poor_limits[0] ? colours.good : share <= this.data.poor_limits[1] ? colours.fair : colours.poor;
  }

  level(probability, colours) {
    if (probability === null) return colours.soft;
    return colours.levels[this.data.probability_limits.filter((limit) => probability > limit).length];
  }
}

function percent(share) { return `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`; }
