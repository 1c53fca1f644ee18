// The map: embeddings in two dimensions under each shown ranker, with hover, pan, zoom and a lasso.

const MAP_NONE = 255; // the colour of a point without a value, as in Python
const MAP_HEIGHT = 430, MAP_MOST_SELECTED = 500, MAP_TILES = 36;
const MAP_REACH = 9; // pixels around the pointer in which a point is found
const MAP_RINGS = 40; // selected items that get a ring each; if there are more, the others fade
const MAP_CELLS = 128; // a side of the grid that finds points near the pointer

// Finds the point nearest to a place without looking at all of `places` (x, y, x, y ...).
function pointGrid(places) {
  const n = places.length / 2;
  let left = Infinity, right = -Infinity, low = Infinity, high = -Infinity;
  for (let i = 0; i < n; i++) {
    const x = places[2 * i], y = places[2 * i + 1];
    if (x < left) left = x;
    if (x > right) right = x;
    if (y < low) low = y;
    if (y > high) high = y;
  }
  const side = Math.max(right - left, high - low, 1e-9) / MAP_CELLS;
  const clamped = (cell) => Math.min(Math.max(Math.floor(cell), 0), MAP_CELLS - 1);
  const column = (x) => clamped((x - left) / side), line = (y) => clamped((y - low) / side);
  const start = new Uint32Array(MAP_CELLS * MAP_CELLS + 1), sorted = new Uint32Array(n);
  const cellOf = (i) => line(places[2 * i + 1]) * MAP_CELLS + column(places[2 * i]);
  for (let i = 0; i < n; i++) start[cellOf(i) + 1] += 1;
  for (let cell = 0; cell < MAP_CELLS * MAP_CELLS; cell++) start[cell + 1] += start[cell];
  const next = start.slice();
  for (let i = 0; i < n; i++) sorted[next[cellOf(i)]++] = i;

  function nearest(x, y, reach) {
    let best = -1, smallest = reach * reach;
    for (let l = line(y - reach); l <= line(y + reach); l++) {
      const first = l * MAP_CELLS, end = start[first + column(x + reach) + 1];
      for (let j = start[first + column(x - reach)]; j < end; j++) {
        const dx = places[2 * sorted[j]] - x, dy = places[2 * sorted[j] + 1] - y, distance = dx * dx + dy * dy;
        if (distance <= smallest) [best, smallest] = [sorted[j], distance];
      }
    }
    return best;
  }
  return { nearest, left, right, low, high };
}

// The points inside a polygon of [x, y] corners: those from which a ray to the right crosses an odd number of edges.
function pointsInside(places, polygon) {
  const xs = polygon.map(([x]) => x), ys = polygon.map(([, y]) => y), inside = [];
  const left = Math.min(...xs), right = Math.max(...xs), low = Math.min(...ys), high = Math.max(...ys);
  for (let i = 0; i < places.length / 2; i++) {
    const x = places[2 * i], y = places[2 * i + 1];
    if (x < left || x > right || y < low || y > high) continue;
    let odd = false;
    for (let a = 0, b = polygon.length - 1; a < polygon.length; b = a++)
      if (ys[a] > y !== ys[b] > y && x < xs[a] + ((y - ys[a]) / (ys[b] - ys[a])) * (xs[b] - xs[a])) odd = !odd;
    if (odd) inside.push(i);
  }
  return inside;
}

// The points by rising colour, so that the highest values lie on top.
function byColor(colors) {
  const next = new Uint32Array(257), order = new Uint32Array(colors.length);
  for (const c of colors) next[c + 1] += 1;
  for (let c = 0; c < 256; c++) next[c + 1] += next[c];
  colors.forEach((c, i) => (order[next[c]++] = i));
  return order;
}

// At most `most` of a list, evenly spread over it.
function evenly(list, most) {
  return list.length <= most ? list : Array.from({ length: most }, (_, i) => list[Math.floor((i * list.length) / most)]);
}

// The pixels of a mark of a radius, as offsets in an image of `width`: a disc for images, a cross for texts.
function markPixels(cross, radius, width) {
  const reach = Math.ceil(radius), thick = radius > 3 ? 1 : 0, pixels = [];
  for (let dy = -reach; dy <= reach; dy++)
    for (let dx = -reach; dx <= reach; dx++)
      if (cross ? Math.abs(Math.abs(dx) - Math.abs(dy)) <= thick : dx * dx + dy * dy <= (radius + 0.4) ** 2)
        pixels.push(dy * width + dx);
  return Int32Array.from(pixels);
}

// For each colour number, the 32 bits of its pixels, and whether it lies behind the others; and the bits of points that fade.
function mapPalette(legend, highlighted) {
  const packed = ([r, g, b], alpha) => ((alpha << 24) | (b << 16) | (g << 8) | r) >>> 0;
  const colors = new Uint32Array(256), behind = new Uint8Array(256);
  for (let c = 0; c < 256; c++) {
    const none = c === MAP_NONE || (highlighted !== null && c !== highlighted);
    const color = none ? OTHER : legend.names ? categorical(c) : sequential(c / 254);
    const shown = highlighted === c && color === OTHER ? CATEGORIES[0] : color; // alone, a class of no colour takes the first
    behind[c] = none || shown === OTHER ? 1 : 0;
    colors[c] = packed(shown, none ? 80 : 255);
  }
  return { colors, behind, faded: packed(OTHER, 70) };
}

// One map: title, canvas and legend. `options` are shared by the maps: lasso (a mode), highlighted (a category or null), and
// what is called: onlasso(rows), onpick(row, kind, shift), onhighlight(category).
function mapPanel(bench, options) {
  const title = element("h4", {}), legendRoot = element("div", { class: "dcmq-legend" });
  let points = null, colors = null, order = null, legend = null, grid = null, view = null, fitted = 1, drag = null, lasso = null;
  const drawing = chart(MAP_HEIGHT, draw), canvas = drawing.canvas, redraw = onNextFrame(drawing.redraw);
  canvas.classList.add("dcmq-map-canvas");
  const root = element("section", { class: "dcmq-column" }, title, canvas, legendRoot);

  const middle = () => [canvas.clientWidth / 2, MAP_HEIGHT / 2];
  const toScreen = (x, y) => [(x - view.x) * view.scale + middle()[0], middle()[1] - (y - view.y) * view.scale];
  const toData = (sx, sy) => [(sx - middle()[0]) / view.scale + view.x, (middle()[1] - sy) / view.scale + view.y];

  function fit() {
    const { left, right, low, high } = grid, room = 28;
    fitted = Math.min((canvas.clientWidth - room) / (right - left || 1), (MAP_HEIGHT - room) / (high - low || 1));
    view = { x: (left + right) / 2, y: (low + high) / 2, scale: fitted };
  }

  function radius() {
    const n = points.rows.length, base = n > 40000 ? 1 : n > 12000 ? 1.5 : n > 3000 ? 2.2 : 3.2;
    return Math.min(base * Math.max(1, view.scale / fitted) ** 0.35, 7);
  }

  // All points straight into the pixels, without a call per point; those that fade, or have no colour, lie behind.
  function drawPoints(context, selected) {
    const { width, height } = context.canvas, ratio = width / canvas.clientWidth;
    const image = context.createImageData(width, height), pixels = new Uint32Array(image.data.buffer);
    const palette = mapPalette(legend, options.highlighted), size = radius() * ratio, margin = Math.ceil(size);
    const disc = markPixels(false, size, width), cross = markPixels(true, size, width);
    const { places, images, rows } = points, scale = view.scale * ratio, fading = selected.size > MAP_RINGS;
    const left = width / 2 - view.x * scale, top = height / 2 + view.y * scale;
    for (let pass = 1; pass >= 0; pass--)
      for (let n = 0; n < colors.length; n++) {
        const i = order ? order[n] : n;
        const fades = fading && !selected.has(rows[i]);
        if ((fades ? 1 : palette.behind[colors[i]]) !== pass) continue;
        const x = Math.round(left + places[2 * i] * scale), y = Math.round(top - places[2 * i + 1] * scale);
        if (x < margin || y < margin || x >= width - margin || y >= height - margin) continue;
        const mark = i < images ? disc : cross, center = y * width + x, color = fades ? palette.faded : palette.colors[colors[i]];
        for (let j = 0; j < mark.length; j++) pixels[center + mark[j]] = color;
      }
    context.putImageData(image, 0, 0);
  }

  function ring(context, i, size, width, color) {
    const [x, y] = toScreen(points.places[2 * i], points.places[2 * i + 1]);
    context.beginPath();
    context.arc(x, y, size, 0, 2 * Math.PI);
    Object.assign(context, { lineWidth: width, strokeStyle: color });
    context.stroke();
  }

  function draw(context) {
    if (!points || !colors) return;
    const began = performance.now();
    if (!view || !Number.isFinite(view.scale) || view.scale <= 0) fit();
    const selected = new Set(bench.get("selection")), query = bench.get("query"), size = radius() + 2.5;
    const text = themeColor(canvas, "--text", "#222"), accent = themeColor(canvas, "--accent", "#1976d2");
    drawPoints(context, selected);
    points.rows.forEach((row, i) => {
      if (selected.size <= MAP_RINGS && selected.has(row)) ring(context, i, size, 1.6, text);
      if (row === query.row && query.kind === (i < points.images ? "image" : "text")) ring(context, i, size + 4, 2.6, accent);
    });
    if (lasso && lasso.length > 1) {
      context.beginPath();
      for (const [x, y] of lasso) context.lineTo(...toScreen(x, y));
      context.closePath();
      Object.assign(context, { lineWidth: 1.5, strokeStyle: accent, fillStyle: accent, globalAlpha: 0.15 });
      context.fill();
      context.globalAlpha = 1;
      context.stroke();
    }
    canvas.dataset.milliseconds = (performance.now() - began).toFixed(1);
  }

  const pointAt = (event) => grid.nearest(...toData(event.offsetX, event.offsetY), MAP_REACH / view.scale);
  const kindOf = (point) => (point < points.images ? "image" : "text");
  const listeners = {
    pointerdown(event) {
      if (event.button !== 0) return;
      event.preventDefault(); // else the drag selects text
      canvas.setPointerCapture(event.pointerId);
      drag = { x: event.offsetX, y: event.offsetY, from: { ...view }, moved: false };
      lasso = options.lasso || event.shiftKey ? [toData(event.offsetX, event.offsetY)] : null;
    },
    pointermove(event) {
      if (!drag) return hover(event);
      const dx = event.offsetX - drag.x, dy = event.offsetY - drag.y;
      drag.moved ||= Math.hypot(dx, dy) > 4;
      if (!drag.moved) return;
      bench.unhover();
      if (lasso) lasso.push(toData(event.offsetX, event.offsetY));
      else Object.assign(view, { x: drag.from.x - dx / view.scale, y: drag.from.y + dy / view.scale });
      redraw();
    },
    pointerup(event) {
      if (!drag) return;
      const moved = drag.moved, drawn = lasso, point = moved ? -1 : pointAt(event);
      drag = lasso = null;
      if (moved && drawn) options.onlasso(pointsInside(points.places, drawn).map((i) => points.rows[i]));
      if (point >= 0) options.onpick(points.rows[point], kindOf(point), event.shiftKey);
      redraw();
    },
    pointercancel() {
      drag = lasso = null;
      redraw();
    },
    pointerleave() {
      if (!drag) bench.unhover();
    },
    dblclick() {
      fit();
      redraw();
    },
    wheel(event) {
      event.preventDefault();
      const [x, y] = toData(event.offsetX, event.offsetY), turn = Math.min(Math.max(event.deltaY, -60), 60);
      view.scale = Math.min(Math.max(view.scale * Math.exp(-turn / 250), fitted / 4), fitted * 400);
      const [nx, ny] = toData(event.offsetX, event.offsetY);
      view.x += x - nx; // what is under the pointer stays there
      view.y += y - ny;
      bench.unhover();
      redraw();
    },
  };
  for (const [name, listener] of Object.entries(listeners))
    canvas.addEventListener(name, (event) => points && view && listener(event), { passive: false });

  function hover(event) {
    const point = pointAt(event);
    canvas.style.cursor = point >= 0 ? "pointer" : options.lasso ? "crosshair" : "grab";
    if (point >= 0) bench.hover(event, points.rows[point], kindOf(point));
    else bench.unhover();
  }

  function showLegend() {
    legendRoot.replaceChildren(element("span", { class: "dcmq-quiet" }, legend.error || legend.title));
    if (legend.error) return;
    if (!legend.names) {
      const digits = Number.isInteger(legend.low) && Number.isInteger(legend.high) ? 0 : 3;
      legendRoot.append(colorScale(legend.low.toFixed(digits), `${legend.high.toFixed(digits)} or more`));
      return;
    }
    const counts = new Uint32Array(256);
    for (const c of colors) counts[c] += 1;
    legend.names.forEach((name, c) => {
      if (!counts[c]) return;
      const alone = options.highlighted === c, color = alone && !CATEGORIES[c] ? CATEGORIES[0] : categorical(c);
      const chip = element(
        "button",
        { type: "button", class: "dcmq-chip", "aria-pressed": String(alone), title: alone ? "show all" : "show these alone",
          onclick: () => options.onhighlight(alone ? null : c) },
        element("i", { style: `background: ${css(color)}` }), `${name} ${counts[c].toLocaleString("en")}`,
      );
      legendRoot.append(chip);
    });
  }

  return {
    root,
    redraw,
    setPlaces(name, shares, given) {
      [points, colors, view, grid] = [given, null, null, pointGrid(given.places)];
      const percent = shares.map((share) => `${Math.round(100 * share)} %`).join(" and ");
      title.textContent = percent ? `${name}: the axes hold ${percent} of the variance` : `${name}: UMAP`;
    },
    setColors(newLegend, newColors) {
      if (newColors && newColors.length !== points.rows.length) return; // of points that are shown no more
      [legend, colors] = [newLegend || legend, newColors || colors];
      order = legend.names || legend.error ? null : byColor(colors);
      showLegend();
      redraw();
    },
    reset() {
      fit();
      redraw();
    },
    dispose: drawing.dispose,
  };
}

const mapView = {
  name: "map",
  title: "Map",
  create(root, bench) {
    const { kinds, labels, classes } = bench.get("info");
    const options = { lasso: false, highlighted: null, onlasso: selectInside, onpick: pick, onhighlight: highlight };
    const own = Object.keys(kinds).filter((kind) => kinds[kind]), choices = own.length > 1 ? [...own, "both"] : own;
    const state = { kinds: choices[0], layout: "pca", color: labels ? "class" : "hubness", label: classes[0] || "" };
    const colors = [
      ...(labels ? [["class", "class"], ["label", "one label"], ["split", "split"]] : []),
      ["hubness", "hubness"], ["error", "quantization error"],
    ];
    const choose = (name, values, change) =>
      dropdown(values, state[name], (value) => {
        state[name] = value;
        change();
      }, { "aria-label": name });
    const label = choose("label", classes.map((name) => [name, name]), loadColors);
    const lasso = element("button", { type: "button", "aria-pressed": "false", title: "draw around points to select them; with shift also without this button" }, "lasso");
    lasso.addEventListener("click", () => {
      options.lasso = !options.lasso;
      lasso.setAttribute("aria-pressed", String(options.lasso));
    });
    const whole = element("button", { type: "button", onclick: () => panels.forEach((panel) => panel.reset()) }, "whole map");
    const note = element("span", { class: "dcmq-quiet" });
    const maps = element("div", { class: "dcmq-columns" }), picked = element("div");
    const hint = "\u25CF images, \u2715 texts. Drag: move, wheel: zoom, shift and drag: select, click: search from there.";
    root.append(
      element("div", { class: "dcmq-bar" },
        element("label", {}, "of ", choose("kinds", choices.map((kind) => [kind, kind]), loadPlaces)),
        element("label", {}, "by ", choose("layout", [["pca", "PCA"], ["umap", "UMAP"]], loadPlaces)),
        element("label", {}, "colour ", choose("color", colors, loadColors)), label, lasso, whole),
      element("div", { class: "dcmq-bar" }, note),
      maps, picked,
    );

    let panels = [], stale = true;
    const askPlaces = bench.newest(), askColors = bench.newest();
    const active = () => bench.get("view") === "map";
    for (const name of ["left", "right"])
      bench.on(name, () => {
        stale = true;
        if (active()) loadPlaces();
      });
    bench.on("selection", () => active() && showSelection());
    bench.on("query", () => active() && panels.forEach((panel) => panel.redraw()));

    async function loadPlaces() {
      stale = false;
      note.textContent = state.layout === "umap" ? "computing UMAP, which takes a while the first time \u2026" : "computing \u2026";
      try {
        const answer = await askPlaces("map_places", { kinds: state.kinds, layout: state.layout });
        if (!answer) return;
        const rows = numbers(Int32Array, answer.buffers[0]);
        panels.forEach((panel) => panel.dispose());
        panels = answer.result.panels.map(({ name, shares }, i) => {
          const panel = mapPanel(bench, options);
          panel.setPlaces(name, shares, { rows, images: answer.result.images, places: numbers(Float32Array, answer.buffers[i + 1]) });
          return panel;
        });
        maps.replaceChildren(...panels.map((panel) => panel.root));
        note.textContent = hint;
        await loadColors();
      } catch (error) {
        note.textContent = "";
        bench.error(error.message);
      }
    }

    async function loadColors() {
      options.highlighted = null;
      label.hidden = state.color !== "label";
      try {
        const args = { kinds: state.kinds, color: state.color, label: state.color === "label" ? state.label : "" };
        const answer = await askColors("map_colors", args);
        if (!answer) return;
        panels.forEach((panel, i) => panel.setColors(answer.result.legends[i], numbers(Uint8Array, answer.buffers[i])));
        showSelection();
      } catch (error) {
        bench.error(error.message);
      }
    }

    function selectInside(rows) {
      const distinct = [...new Set(rows)], chosen = evenly(distinct, MAP_MOST_SELECTED);
      const more = distinct.length > chosen.length ? `; ${chosen.length} of them, evenly spread, are selected` : "";
      note.textContent = `${counted(distinct.length, "item")} inside${more}`;
      bench.set("selection", chosen);
    }

    function pick(row, kind, shift) {
      if (shift) bench.toggle([row]);
      else bench.searchFrom(kind, row);
    }

    function highlight(category) {
      options.highlighted = category;
      panels.forEach((panel) => panel.setColors());
    }

    function showSelection() {
      const rows = evenly(bench.get("selection"), MAP_TILES);
      if (!rows.length) note.textContent = hint;
      bench.grid(picked, rows, { kind: state.kinds === "texts" ? "text" : "image" });
      panels.forEach((panel) => panel.redraw());
    }

    return {
      show() {
        if (stale) loadPlaces();
        else showSelection();
      },
    };
  },
};
