// Figures that recompute in the page, in plain JavaScript. A page holds a still in <figure id="fig-NAME-live">; live/NAME.js
// calls feLive.figure(NAME, {title, controls, panels, compute, draw, say}), and the still gives way to the figure:
//   controls  {key, label, min, max, step, value, digits, log}: a slider; {key, label, choices: [[value, words], …]}: a menu;
//             {key: [kx, ky], label, panel, min: [ , ], max: [ , ], step: [ , ], value: [ , ], digits}: a point one can drag
//   compute   settings -> {numbers: {name: number}, …}, a pure function, which the tests hold against the library
//   draw      (panels, settings, result): begins each panel with `axes`, then curves, dots, words in units of the axes
//   say       (settings, result) -> words in which {name:4} stands for a number with 4 decimals, {name:3p} with 3 digits
(function () {
  "use strict";
  const figures = {}, INK = "var(--fe-ink)";
  const colour = c => typeof c === "number" ? `var(--fe-${c})` : c || INK;
  const written = (v, digits = 2) => (String(digits).endsWith("p") ? String(Number(v.toPrecision(parseInt(digits))))
    : v.toFixed(digits)).replace(/^-(0(\.0+)?)$/, "$1").replace(/-/g, "−");
  const element = (tag, parent, attributes = {}, words = "") => {
    const e = parent.namespaceURI.endsWith("svg") || tag === "svg"
      ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
    e.textContent = words;
    return parent.appendChild(e);
  };

  // Round values of an axis: steps of 1, 2 or 5 times a power of ten; on a logarithmic axis 1, 2, 5 or powers alone.
  function ticks(low, high, log, count) {
    if (log) {
      const inside = m => [].concat(...Array.from({length: 25}, (_, i) => m.map(k => k * 10 ** (i - 12))))
        .filter(v => v >= low * 0.999 && v <= high * 1.001);
      return inside([1]).length > 2 ? inside([1]) : inside([1, 2, 5]);
    }
    const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].find(m => m * power >= raw) * power, found = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) found.push(i * step);
    return found;
  }

  class Panel {
    constructor(parent, {label, width = 360, height = 280, left = 52, row}, dragged) {
      Object.assign(this, {width, height, box: [left, 26, width - 12, height - 44], parts: [], curves: [], marks: [], points: []});
      this.svg = element("svg", parent, {viewBox: `0 0 ${width} ${height}`, role: dragged ? "group" : "img", "aria-label": label,
        style: `font:12.5px system-ui,sans-serif${row ? ";flex-basis:100%;max-width:33rem" : ""}`});
      this.drawing = element("g", this.svg, {"aria-hidden": "true"});
      this.handles = element("g", this.svg);
    }
    axes({x, y, xlabel = "", ylabel = "", title = "", logx, logy, ticksx = 5, ticksy = 5, bare}) {
      const [l, t, r, b] = this.box, scale = (a, z, from, to, log) => log
        ? v => from + (to - from) * Math.log(v / a) / Math.log(z / a) : v => from + (to - from) * (v - a) / (z - a);
      const back = (a, z, from, to, log) => q => log ? a * (z / a) ** ((q - from) / (to - from)) : a + (z - a) * (q - from) / (to - from);
      this.X = scale(x[0], x[1], l, r, logx); this.Y = scale(y[0], y[1], b, t, logy);
      this.units = [back(x[0], x[1], l, r, logx), back(y[0], y[1], b, t, logy)];
      this.parts = []; this.curves = []; this.marks = [];
      if (bare) return this;
      const name = v => Math.abs(v) >= 1e4 || (v && Math.abs(v) < 1e-3) ? v.toExponential(0).replace("+", "").replace(/-/g, "−")
        : written(Number(v.toPrecision(6)), "6p");
      for (const v of ticks(x[0], x[1], logx, ticksx)) this.parts.push(
        `<path d="M${this.X(v).toFixed(1)} ${t}V${b}" style="stroke:var(--fe-grid)"/>`,
        `<text x="${this.X(v).toFixed(1)}" y="${b + 16}" style="text-anchor:middle;fill:${INK}">${name(v)}</text>`);
      for (const v of ticks(Math.min(...y), Math.max(...y), logy, ticksy)) this.parts.push(
        `<path d="M${l} ${this.Y(v).toFixed(1)}H${r}" style="stroke:var(--fe-grid)"/>`,
        `<text x="${l - 5}" y="${(this.Y(v) + 4).toFixed(1)}" style="text-anchor:end;fill:${INK}">${name(v)}</text>`);
      this.parts.push(`<path d="M${l} ${t}V${b}H${r}" style="stroke:${INK};fill:none"/>`,
        `<text x="${(l + r) / 2}" y="${this.height - 8}" style="text-anchor:middle;fill:${INK};font-size:13px">${xlabel}</text>`,
        `<text transform="translate(13 ${(t + b) / 2}) rotate(-90)" style="text-anchor:middle;fill:${INK};font-size:13px">${ylabel}</text>`,
        `<text x="${(l + r) / 2}" y="15" style="text-anchor:middle;fill:${INK};font-size:13px;font-weight:600">${title}</text>`);
      return this;
    }
    path(points) {
      let up = true;
      return points.map(([x, y]) => {
        const a = this.X(x), b = this.Y(y), ok = Number.isFinite(a) && Number.isFinite(b);
        const step = ok ? `${up ? "M" : "L"}${a.toFixed(1)} ${Math.max(-999, Math.min(1999, b)).toFixed(1)}` : "";
        up = !ok;
        return step;
      }).join("");
    }
    line(points, c, {width = 2, dash = "", opacity = 1} = {}) {
      this.curves.push(`<path d="${this.path(points)}" style="fill:none;stroke:${colour(c)};`
        + `stroke-width:${width};stroke-dasharray:${dash || "none"};opacity:${opacity};stroke-linejoin:round"/>`);
    }
    area(points, c, opacity = 0.2) {
      this.curves.push(`<path d="${this.path(points)}Z" style="fill:${colour(c)};opacity:${opacity}"/>`);
    }
    dots(points, c, {r = 3.5, hollow = false, square = false} = {}) {
      const look = `style="fill:${hollow ? "var(--fe-back)" : colour(c)};stroke:${colour(c)};stroke-width:${hollow ? 2 : 0}"`;
      for (const [x, y] of points) {
        const a = this.X(x), b = this.Y(y), [l, t, right, bottom] = this.box;
        if (!(a >= l - 1 && a <= right + 1 && b >= t - 1 && b <= bottom + 1)) continue;
        this.marks.push(square ? `<rect x="${(a - r).toFixed(1)}" y="${(b - r).toFixed(1)}" width="${2 * r}" height="${2 * r}" ${look}/>`
          : `<circle cx="${a.toFixed(1)}" cy="${b.toFixed(1)}" r="${r}" ${look}/>`);
      }
    }
    text(x, y, words, {anchor = "start", dx = 0, dy = 0, weight = 400} = {}) {
      this.marks.push(`<text x="${(this.X(x) + dx).toFixed(1)}" y="${(this.Y(y) + dy).toFixed(1)}" style="text-anchor:${anchor};fill:${INK};`
        + `font-weight:${weight};paint-order:stroke;stroke:var(--fe-back);stroke-width:4px;stroke-linejoin:round">${words}</text>`);
    }
    // Axes, then curves, which are cut at the frame, then dots and words
    markup() {
      const [l, t, r, b] = this.box, frame = `x="${l}" y="${t}" width="${r - l}" height="${b - t}" viewBox="${l} ${t} ${r - l} ${b - t}"`;
      return `${this.parts.join("")}<svg ${frame}>${this.curves.join("")}</svg>${this.marks.join("")}`;
    }
    // What the colours mean, in lines from the corner: "tl", "tr", "bl" or "br"; entries [colour, words, "line" | "dot" | "dash" | "area"]
    legend(entries, corner = "tl") {
      const [l, t, r, b] = this.box, wide = 30 + 6.4 * Math.max(...entries.map(e => e[1].length));
      const x = corner[1] === "l" ? l + 8 : r - wide, y = corner[0] === "t" ? t + 6 : b - 17 * entries.length - 4;
      this.marks.push(`<rect x="${x - 4}" y="${y - 3}" width="${wide}" height="${17 * entries.length + 4}" style="fill:var(--fe-back);opacity:0.85"/>`);
      entries.forEach(([c, words, kind = "line"], i) => this.marks.push(kind === "dot" || kind === "ring"
        ? `<circle cx="${x + 9}" cy="${y + 8 + 17 * i}" r="4" style="fill:${kind === "dot" ? colour(c) : "var(--fe-back)"};stroke:${colour(c)};stroke-width:2"/>`
        : kind === "area" ? `<rect x="${x}" y="${y + 3 + 17 * i}" width="18" height="10" style="fill:${colour(c)};opacity:0.5"/>`
          : `<path d="M${x} ${y + 8 + 17 * i}h18" style="stroke:${colour(c)};stroke-width:2.5;stroke-dasharray:${kind === "dash" ? "5 3" : "none"}"/>`,
      `<text x="${x + 24}" y="${y + 12 + 17 * i}" style="fill:${INK}">${words}</text>`));
    }
  }

  function slider(control, box, id, figure) {
    const {key, label, choices, log, digits} = control, row = element("div", box, {class: "fe-control"});
    element("label", row, {for: id}, label);
    if (choices) {
      const menu = element("select", row, {id});
      for (const [value, words] of choices) element("option", menu, {value}, words);
      menu.addEventListener("change", () => figure.set({[key]: menu.value}));
      return () => { menu.value = figure.settings[key]; };
    }
    const shown = element("output", row, {for: id}), unit = log ? Math.log10 : v => v;
    const input = element("input", row, {type: "range", id, min: unit(control.min), max: unit(control.max), step: control.step});
    input.addEventListener("input", () => figure.set({[key]: log ? 10 ** input.valueAsNumber : input.valueAsNumber}));
    return () => {
      input.value = unit(figure.settings[key]);
      shown.textContent = written(figure.settings[key], digits);
      input.setAttribute("aria-valuetext", shown.textContent);
    };
  }

  // A point to drag. The points of a panel are one stop of the Tab key: arrow keys go from one to the next, and Enter takes one
  // up, which they then move. A point that is alone, or moves up and down only, needs no taking up.
  function handle(control, figure) {
    const {key, label, min, max, step, digits, c = 1, r = 8} = control, panel = figure.panels[control.panel || 0], group = panel.points;
    const many = figure.spec.controls.filter(o => Array.isArray(o.key) && (o.panel || 0) === (control.panel || 0)).length > 1;
    const bar = min[0] === max[0], chosen = many && !bar;
    const g = element("g", panel.handles, {tabindex: group.length ? -1 : 0, style: "cursor:grab;touch-action:none", ...chosen
      ? {role: "button", "aria-pressed": false, "aria-describedby": `fe-${figure.name}-hint`}
      : {role: "slider", "aria-label": label, "aria-valuemin": min[0], "aria-valuemax": max[0]}});
    group.push(g);
    element("circle", g, {r: 16, style: "fill:transparent"});
    element("circle", g, {r, style: `fill:${colour(c)};stroke:var(--fe-back);stroke-width:2`});
    const place = (x, y) => figure.set({[key[0]]: Math.min(max[0], Math.max(min[0], x)), [key[1]]: Math.min(max[1], Math.max(min[1], y))});
    const held = () => !chosen || g.getAttribute("aria-pressed") === "true", hold = yes => chosen && g.setAttribute("aria-pressed", yes);
    g.addEventListener("focus", () => group.forEach(o => o.setAttribute("tabindex", o === g ? 0 : -1)));
    g.addEventListener("blur", () => hold(false));
    g.addEventListener("pointerdown", e => { g.setPointerCapture(e.pointerId); g.focus({preventScroll: true}); e.preventDefault(); });
    g.addEventListener("pointermove", e => {
      if (!g.hasPointerCapture(e.pointerId)) return;
      const at = new DOMPoint(e.clientX, e.clientY).matrixTransform(panel.svg.getScreenCTM().inverse());
      place(panel.units[0](at.x), panel.units[1](at.y));
    });
    g.addEventListener("keydown", e => {
      const [dx, dy] = {ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]}[e.key] || [0, 0];
      const take = chosen && (e.key === "Enter" || e.key === " " || (e.key === "Escape" && held()));
      if (!dx && !dy && !take) return;
      e.preventDefault();
      if (take) return hold(!held());
      if (many && (bar ? dx : !held())) return group[(group.indexOf(g) + dx - dy + group.length) % group.length].focus({preventScroll: true});
      const far = e.shiftKey ? 5 : 1;
      place(figure.settings[key[0]] + far * dx * step[0], figure.settings[key[1]] + far * dy * step[1]);
    });
    return () => {
      const [x, y] = key.map(k => figure.settings[k]), words = `${written(x, digits)}, ${written(y, digits)}`;
      g.setAttribute("transform", `translate(${panel.X(x).toFixed(1)} ${panel.Y(y).toFixed(1)})`);
      if (chosen) return g.setAttribute("aria-label", `${label} at ${words}`);
      g.setAttribute("aria-valuenow", x);
      g.setAttribute("aria-valuetext", words);
    };
  }

  class Figure {
    constructor(name, spec) {
      Object.assign(this, {name, spec, compute: spec.compute, settings: {}});
      for (const {key, value, choices} of spec.controls)
        [].concat(key).forEach((k, i) => { this.settings[k] = Array.isArray(value) ? value[i] : value === undefined ? choices[0][0] : value; });
      const still = document.querySelector(`#fig-${name}-live img`);
      if (!still) return;
      const box = document.createElement("div"), id = `fe-${name}`;
      box.className = "fe-box";
      still.replaceWith(box);
      const panels = element("div", box, {class: "fe-panels"}), points = spec.controls.filter(c => Array.isArray(c.key));
      this.panels = spec.panels.map((p, i) => new Panel(panels, p, points.some(c => (c.panel || 0) === i)));
      const controls = element("div", box, {class: "fe-controls", role: "group", "aria-label": spec.title});
      this.shown = spec.controls.map((c, i) => Array.isArray(c.key) ? handle(c, this) : slider(c, controls, `${id}-control-${i}`, this));
      if (panels.querySelector("[aria-pressed]")) element("p", box, {class: "fe-hint", id: `${id}-hint`},
        "By keys: arrows choose a point, Enter takes it up, arrows move it (with Shift five steps), Enter lets it go.");
      this.words = element("p", box, {class: "fe-numbers"});
      this.spoken = element("p", box, {class: "fe-spoken", "aria-live": "polite"});
      this.show();
      this.said = true;
    }
    set(changes) {
      Object.assign(this.settings, changes);
      if (this.due) return;
      this.due = requestAnimationFrame(() => { this.due = 0; this.show(); });
    }
    show() { // at once; a screen reader hears the words when the reader's hand rests
      const result = this.result = this.compute(this.settings);
      this.spec.draw(this.panels, this.settings, result);
      for (const p of this.panels) p.drawing.innerHTML = p.markup();
      this.shown.forEach(f => f());
      this.words.innerHTML = this.spec.say(this.settings, result).replace(/\{(\w+)(?::(\d+p?))?\}/g, (_, name, digits) => {
        const v = name in result.numbers ? result.numbers[name] : this.settings[name];
        return `<data data-name="${name}" value="${v}">${Number.isFinite(v) ? written(v, digits) : "none"}</data>`;
      });
      clearTimeout(this.timer);
      if (this.said) this.timer = setTimeout(() => { this.spoken.textContent = this.words.textContent; }, 700);
    }
  }

  window.feLive = {figures, written, figure: (name, spec) => { figures[name] = new Figure(name, spec); }};
})();
