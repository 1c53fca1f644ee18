// The codebooks: how much each codeword is used, the items of one, and the items whose codes are near the query's.

const CODEBOOK_TILES = 60, CODEBOOK_MOST_SELECTED = 500;

// A heat map of M codebooks (lines) by K codewords (columns), with the entropy of each line on its right.
// `shared.most`: the count, in fair shares, that has the brightest colour. `mark()`: {cell: [m, k] or null, code: M numbers or null}.
function codebookMap(summary, counts, shared, mark, onhover, onclick) {
  const { M, K, items, entropy } = summary, line = M > 16 ? 11 : M > 8 ? 15 : 20, left = 26, right = 74, bottom = 18;
  const drawing = chart(M * line + bottom, draw), canvas = drawing.canvas, redraw = onNextFrame(drawing.redraw);
  canvas.classList.add("dcmq-heat");
  const cellWidth = () => (canvas.clientWidth - left - right) / K;
  const fair = (m, k) => (counts[m * K + k] * K) / items;

  function cellAt(event) {
    const m = Math.floor(event.offsetY / line), k = Math.floor((event.offsetX - left) / cellWidth());
    return m >= 0 && m < M && k >= 0 && k < K ? [m, k] : null;
  }

  function draw(context, width) {
    const cell = cellWidth(), gap = cell > 5 ? 1 : 0, text = themeColor(canvas, "--text", "#222"), quiet = themeColor(canvas, "--quiet", "#666");
    const accent = themeColor(canvas, "--accent", "#1976d2");
    context.font = "10px sans-serif";
    context.textBaseline = "middle";
    const every = Math.ceil(12 / line); // numbers of lines that have no room are left out
    for (let m = 0; m < M; m++) {
      const y = m * line, middle = y + line / 2;
      context.fillStyle = quiet;
      context.textAlign = "right";
      if (m % every === 0) context.fillText(m, left - 5, middle);
      for (let k = 0; k < K; k++) {
        context.fillStyle = css(sequential(Math.sqrt(fair(m, k) / shared.most)));
        context.fillRect(left + k * cell, y, Math.max(cell - gap, 0.5), line - 1);
        if (counts[m * K + k] || cell < 6) continue;
        context.strokeStyle = "#fff"; // dead: a cross, besides the darkest colour
        context.lineWidth = 1.2;
        const x = left + (k + 0.5) * cell - gap / 2, reach = Math.min(cell, line) / 4;
        context.beginPath();
        for (const side of [-1, 1]) {
          context.moveTo(x - reach, middle - side * reach);
          context.lineTo(x + reach, middle + side * reach);
        }
        context.stroke();
      }
      const start = width - right + 8, length = 30;
      context.strokeStyle = quiet;
      context.lineWidth = 1;
      context.strokeRect(start + 0.5, y + 1.5, length, line - 4);
      context.fillStyle = quiet;
      context.fillRect(start, y + 1, length * entropy[m], line - 3);
      context.fillStyle = text;
      context.textAlign = "left";
      if (m % every === 0) context.fillText(decimal(entropy[m], 2), start + length + 4, middle);
    }
    context.fillStyle = quiet;
    context.textAlign = "left";
    context.fillText(`codebook m down, codeword k = 0 to ${K - 1} across`, left, M * line + bottom / 2);
    context.textAlign = "right";
    context.fillText("entropy", width - 4, M * line + bottom / 2);
    const { cell: chosen, code } = mark();
    context.strokeStyle = "#fff";
    context.lineWidth = 2;
    if (code) code.forEach((k, m) => context.strokeRect(left + k * cell + 1, m * line + 1, cell - gap - 2, line - 3));
    if (chosen) {
      context.strokeStyle = accent;
      context.lineWidth = 3;
      context.strokeRect(left + chosen[1] * cell - 1, chosen[0] * line - 1, cell - gap + 2, line + 1);
    }
  }

  canvas.addEventListener("pointermove", (event) => {
    const cell = cellAt(event);
    canvas.style.cursor = cell ? "pointer" : "default";
    onhover(cell && `m ${cell[0]}, k ${cell[1]}: ${counted(counts[cell[0] * K + cell[1]], "item")}, ` +
      `${((100 * counts[cell[0] * K + cell[1]]) / items).toFixed(1)} % of ${items.toLocaleString("en")}, ${fair(...cell).toFixed(2)} fair shares`);
  });
  canvas.addEventListener("pointerleave", () => onhover(null));
  canvas.addEventListener("click", (event) => {
    const cell = cellAt(event);
    if (cell) onclick(...cell);
  });
  return { canvas, redraw, dispose: drawing.dispose, most: Math.max(...counts.map((count) => count)) * (K / items) };
}

const codebooksView = {
  name: "codebooks",
  title: "Codebooks",
  create(root, bench) {
    const scale = element("div", { class: "dcmq-legend" }), maps = element("div", { class: "dcmq-columns" });
    const wordTitle = element("h4", {}, "click a cell: the items of that codeword"), wordTiles = element("div", { class: "dcmq-small" });
    const selectWord = element("button", { type: "button", hidden: true, onclick: selectCodeword }, "select these");
    const ballTitle = element("h4", {}), ballTiles = element("div", { class: "dcmq-small" });
    const selectBall = element("button", { type: "button", hidden: true, onclick: selectNear }, "select these");
    const state = { distance: "hamming", ball: 0, near: null, word: null, drawn: [] };
    const radii = element("span", {});
    const distance = dropdown([["hamming", "sub-codes that differ"], ["codewords", "distances of codewords, summed"]], "hamming",
      (value) => {
        state.distance = value;
        radii.replaceChildren();
        loadBall();
      }, { "aria-label": "distance of codes" });
    const ofRanker = element("select", { "aria-label": "codes of", onchange: () => { radii.replaceChildren(); loadBall(); } });
    const histogram = chart(84, drawHistogram);
    root.append(
      scale, maps,
      element("div", { class: "dcmq-columns" },
        element("section", { class: "dcmq-column" }, element("div", { class: "dcmq-bar" }, wordTitle, selectWord), wordTiles),
        element("section", { class: "dcmq-column" },
          element("div", { class: "dcmq-bar" }, ballTitle, selectBall),
          element("div", { class: "dcmq-bar" }, element("label", {}, "codes of ", ofRanker), element("label", {}, "by ", distance), radii),
          histogram.canvas, ballTiles)),
    );

    let stale = true, radius = null;
    const askBall = bench.newest(), active = () => bench.get("view") === "codebooks";
    for (const name of ["left", "right"])
      bench.on(name, () => {
        stale = true;
        if (active()) load();
      });
    bench.on("query", () => active() && loadBall());
    bench.on("gallery", () => active() && loadBall());
    bench.on("selection", () => [wordTiles, ballTiles].forEach((tiles) => bench.markSelected(tiles)));

    async function load() {
      stale = false;
      try {
        const { result, buffers } = await bench.request("codebook_usage");
        showMaps(result.maps, buffers);
        await loadBall();
      } catch (error) {
        maps.replaceChildren();
        bench.error(error.message);
      }
    }

    function showMaps(summaries, buffers) {
      state.drawn.forEach((map) => map.dispose());
      const shared = { most: 1 }, columns = new Map();
      state.word = null;
      wordTiles.replaceChildren();
      selectWord.hidden = true;
      wordTitle.textContent = "click a cell: the items of that codeword";
      state.drawn = summaries.map((summary, i) => {
        const line = element("div", { class: "dcmq-quiet dcmq-hover" }, "\u00A0"), { ranker, kind } = summary;
        const mark = () => ({
          cell: state.word && state.word.ranker === ranker && state.word.kind === kind ? [state.word.m, state.word.k] : null,
          code: state.near && state.near.ranker === ranker ? state.near.code : null,
        });
        const map = codebookMap(summary, numbers(Int32Array, buffers[i]), shared, mark,
          (text) => (line.textContent = text || "\u00A0"), (m, k) => loadCodeword({ ranker, kind, m, k }));
        shared.most = Math.max(shared.most, map.most);
        if (!columns.has(ranker)) columns.set(ranker, element("section", { class: "dcmq-column" }, element("h4", {}, ranker)));
        const facts = `${kind}: entropy ${decimal(summary.mean_entropy)}, ${summary.dead} of ${summary.M * summary.K} codewords dead, ` +
          `${counted(summary.codes, "code")} for ${counted(summary.items, "item")}, at most ${summary.largest} alike`;
        columns.get(ranker).append(element("div", { class: "dcmq-quiet" }, facts), map.canvas, line);
        return map;
      });
      maps.replaceChildren(...columns.values());
      scale.replaceChildren(
        element("span", { class: "dcmq-quiet" }, "items of a codeword in fair shares, by their square root; 1: as many as if all codewords were used alike"),
        colorScale("0", shared.most.toFixed(1)), element("span", { class: "dcmq-quiet" }, "\u2715 dead; white frames: the code of the query"));
      const names = [...columns.keys()], before = ofRanker.value;
      ofRanker.replaceChildren(...names.map((name) => element("option", { value: name }, name)));
      ofRanker.value = names.includes(before) ? before : names[0];
      state.drawn.forEach((map) => map.redraw());
    }

    async function loadCodeword(word) {
      state.word = word;
      state.drawn.forEach((map) => map.redraw());
      try {
        const { result } = await bench.request("codeword_items", { ...word, limit: CODEBOOK_TILES });
        const { ranker, kind, m, k } = word, more = result.count > result.rows.length ? `, the first ${result.rows.length}` : "";
        wordTitle.textContent = `${ranker}, ${kind} of codeword m ${m}, k ${k}: ${counted(result.count, "item")}, nearest to it first${more}`;
        selectWord.hidden = !result.count;
        showTiles(wordTiles, kind, result.rows, result.cosines);
      } catch (error) {
        bench.error(error.message);
      }
    }

    function showTiles(tiles, kind, rows, values) {
      const asked = kind === "images" ? "image" : "text";
      bench.grid(tiles, rows, { kind: asked, captions: values.map((value) => decimal(value, 2)), onclick: (row) => bench.set("query", { kind: asked, row }) });
    }

    async function selectCodeword() {
      try {
        const { result } = await bench.request("codeword_items", { ...state.word, limit: CODEBOOK_MOST_SELECTED });
        bench.set("selection", result.rows);
      } catch (error) {
        bench.error(error.message);
      }
    }

    function ballArguments(limit) {
      const { kind, row } = bench.get("query");
      const place = radius ? radius.value : 0;
      return { ranker: ofRanker.value, kind: bench.get("gallery"), row, of: `${kind}s`, distance: state.distance, radius: place, limit };
    }

    async function loadBall() {
      const query = bench.get("query");
      if (query.kind === "words" || !ofRanker.value) {
        ballTitle.textContent = "click an item: its code, and the items whose codes are near";
        state.near = null;
        ballTiles.replaceChildren();
        selectBall.hidden = true;
        state.drawn.forEach((map) => map.redraw());
        return histogram.redraw();
      }
      if (!radii.children.length) radius = null;
      try {
        const args = ballArguments(CODEBOOK_TILES), answer = await askBall("code_ball", args);
        if (!answer) return;
        const { result } = answer, card = await bench.card(query.row);
        state.near = { ...result, ranker: args.ranker, radius: args.radius };
        if (!radii.children.length) { // begin where the first items are
          const whole = state.distance === "hamming", first = result.counts.findIndex((count) => count > 0);
          radius = slider("radius", { low: 0, high: result.largest, value: result.edges[whole ? first : first + 1] ?? 0, whole }, loadBall);
          radii.replaceChildren(radius.root);
          return loadBall();
        }
        ballTitle.textContent = `${counted(result.count, args.kind.slice(0, -1))} within ${args.radius} of the code of ${query.kind} ${card.id}`;
        selectBall.hidden = !result.count;
        showTiles(ballTiles, args.kind, result.rows, result.distances);
        state.drawn.forEach((map) => map.redraw());
        histogram.redraw();
      } catch (error) {
        bench.error(error.message);
      }
    }

    async function selectNear() {
      try {
        const { result } = await bench.request("code_ball", ballArguments(CODEBOOK_MOST_SELECTED));
        bench.set("selection", result.rows);
      } catch (error) {
        bench.error(error.message);
      }
    }

    function drawHistogram(context, width, height) {
      if (!state.near) return;
      const { counts, edges, largest, radius: within } = state.near, floor = height - 16, most = Math.max(...counts, 1);
      const step = width / counts.length, text = themeColor(root, "--jp-ui-font-color1", "#333");
      context.font = "10px sans-serif";
      context.textAlign = "center";
      const every = Math.max(1, Math.ceil(26 / step));
      counts.forEach((count, i) => {
        const size = (count / most) * (floor - 12);
        context.fillStyle = edges[i] <= within ? PALETTE[0] : css(OTHER, 0.7);
        context.fillRect(i * step + 1, floor - size, Math.max(step - 2, 1), size);
        context.fillStyle = text;
        if (count && size < floor - 12 + 1 && step > 26) context.fillText(count.toLocaleString("en"), (i + 0.5) * step, floor - size - 3);
        if (i % every === 0) context.fillText(state.distance === "hamming" ? edges[i] : edges[i].toFixed(1), (i + 0.5) * step, height - 4);
      });
      context.textAlign = "left";
      context.fillText(`items by distance, 0 to ${largest}`, 2, 9);
    }

    return { show: () => (stale ? load() : loadBall()) };
  },
};
