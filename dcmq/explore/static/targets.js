// The targets: what a target function and the temperatures make of a batch, redrawn while sliders move.

const TARGET_HISTOGRAMS = ["teacher's similarities", "after the target function"];

const targetsView = {
  name: "targets",
  title: "Targets",
  create(root, bench) {
    const state = { target: "", scope: "", form: "", kind: "images" };
    const controls = element("div", {}), readout = element("div", { class: "dcmq-note" }), weightNote = element("div", { class: "dcmq-note" });
    let drawn = null, pairs = null, weights = null, weightNumbers = null, heat = null, heatOf = 0, sliders = null, offered = "";
    const histograms = [0, 1].map((i) => chart(150, (context, width, height) => drawHistogram(context, width, height, i)));
    const bars = chart(190, drawBars), heatRoot = element("div", {}), rowNote = element("div", { class: "dcmq-quiet" });
    const legend = element("div", { class: "dcmq-legend" },
      element("span", { class: "dcmq-key" }, element("i", { style: `background: ${PALETTE[0]}` }), "pairs that share a label"),
      element("span", { class: "dcmq-key" }, element("i", { style: `background: ${PALETTE[1]}` }), "pairs that share none (dashed, or hatched)"));
    const rowTile = element("div", { class: "dcmq-small" }), heatTitle = element("h4", {});
    const page = element("div", { hidden: true }); // until there is something to draw
    root.append(page);
    page.append(
      controls, readout, legend,
      element("div", { class: "dcmq-columns" },
        ...histograms.map(({ canvas }, i) => element("section", { class: "dcmq-column" }, element("h4", {}, TARGET_HISTOGRAMS[i]), canvas))),
      element("div", { class: "dcmq-columns" },
        element("section", { class: "dcmq-column" }, element("h4", {}, "the target of one image: shares of the batch's texts, the largest first"),
          rowNote, bars.canvas, rowTile),
        element("section", { class: "dcmq-column" }, heatTitle, weightNote, heatRoot)),
    );

    const askTargets = bench.newest(), askWeights = bench.newest(), active = () => bench.get("view") === "targets";
    for (const name of ["left", "right"])
      bench.on(name, () => active() && show());

    async function makeControls() {
      const { result } = await bench.request("target_options"), { defaults, largest } = result;
      if (JSON.stringify(result) === offered) return; // a target registered meanwhile changes what can be chosen
      offered = JSON.stringify(result);
      const before = sliders;
      const kept = (name, value) => (before ? before[name].value : value);
      for (const name of ["target", "scope", "form"]) state[name] ||= defaults[name];
      const choose = (name, values, change) =>
        dropdown(values.map((value) => [value, value]), state[name], (value) => {
          state[name] = value;
          change();
        }, { "aria-label": name });
      sliders = {
        tau: slider("tau", { low: 0.01, high: 2, value: kept("tau", defaults.tau), log: true }, loadTargets),
        size: slider("batch", { low: 2, high: Math.min(1000, largest), value: kept("size", Math.min(defaults.size, largest)), whole: true }, loadBoth),
        seed: slider("seed", { low: 0, high: 20, value: kept("seed", 0), whole: true }, loadBoth),
        place: slider("row", { low: 0, high: Math.min(defaults.size, largest) - 1, value: kept("place", 0), whole: true }, loadBoth),
        gumbel_weight: slider("lambda", { low: 0, high: 3, value: kept("gumbel_weight", defaults.gumbel_weight) }, loadWeights),
        tau_q: slider("tau_q", { low: 0.02, high: 2, value: kept("tau_q", defaults.tau_q), log: true }, loadWeights),
        tau_g: slider("tau_g", { low: 0.05, high: 5, value: kept("tau_g", defaults.tau_g), log: true }, loadWeights),
        noise_seed: slider("draw", { low: 0, high: 20, value: kept("noise_seed", 0), whole: true }, loadWeights),
      };
      const line = (label, ...parts) => element("div", { class: "dcmq-bar" }, element("span", { class: "dcmq-quiet dcmq-step" }, label), ...parts);
      controls.replaceChildren(
        line("batch", sliders.size.root, sliders.seed.root, sliders.place.root),
        line("target", element("label", {}, "function ", choose("target", result.targets, loadTargets)),
          element("label", {}, "scope ", choose("scope", result.scopes, loadTargets)), sliders.tau.root),
        line("quantizer", element("label", {}, "of the ", choose("kind", ["images", "texts"], loadWeights)), sliders.gumbel_weight.root, sliders.tau_q.root,
          sliders.tau_g.root, element("label", {}, "Eq. 5 ", choose("form", result.forms, loadWeights)), sliders.noise_seed.root),
      );
    }

    async function loadTargets() {
      const { target, scope } = state;
      const args = { target, scope, size: sliders.size.value, seed: sliders.seed.value, place: sliders.place.value, tau: sliders.tau.value };
      try {
        const answer = await askTargets("targets", args);
        if (!answer) return;
        const other = !drawn || drawn.row !== answer.result.row;
        [drawn, pairs] = [answer.result, numbers(Float32Array, answer.buffers[0])];
        bench.error("");
        sliders.place.limit(drawn.size - 1);
        if (other) bench.grid(rowTile, [drawn.row], { kind: "image" });
        showNumbers();
        [...histograms, bars].forEach((drawing) => drawing.redraw());
      } catch (error) {
        bench.error(error.message);
      }
    }

    async function loadWeights() {
      if (!drawn) return;
      const { kind, form } = state, { gumbel_weight, tau_q, tau_g, noise_seed } = sliders;
      const args = { row: drawn.row, kind, form, gumbel_weight: gumbel_weight.value, tau_q: tau_q.value, tau_g: tau_g.value, noise_seed: noise_seed.value };
      try {
        const answer = await askWeights("quantizer_weights", args);
        if (!answer) return;
        [weights, weightNumbers] = [answer.result, numbers(Float32Array, answer.buffers[0])];
        heatTitle.textContent = `${weights.ranker}: weights of the codewords in the quantized ${kind === "images" ? "image" : "text"}`;
        const [soft, , both] = weights.effective;
        weightNote.textContent = `noise makes another codeword the heaviest in ${weights.moved} of ${weights.M} sub-vectors; ` +
          `a sub-vector is a mixture of ${soft.toFixed(1)} codewords without noise, of ${both.toFixed(1)} with it`;
        if (weights.M !== heatOf) {
          if (heat) heat.dispose();
          [heat, heatOf] = [chart(weights.M * weightLine() + 34, drawWeights), weights.M];
          heatRoot.replaceChildren(heat.canvas);
        }
      } catch (error) {
        [weights, weightNumbers] = [null, null];
        heatTitle.textContent = "weights of the codewords";
        weightNote.textContent = error.message;
      }
      if (heat) heat.redraw();
    }

    async function loadBoth() {
      await loadTargets();
      await loadWeights();
    }

    function showNumbers() {
      const { effective, teacher, size, relevant, bars: shares } = drawn, [rowBefore, rowAfter] = effective.row, [before, after] = effective.mean;
      readout.textContent = `${teacher}, ${size} training items. A target is spread over ${after.toFixed(1)} texts on average ` +
        `(${before.toFixed(1)} without the target function), and ${(100 * relevant).toFixed(0)} % of it lies on pairs that share a label.`;
      const own = shares.find((share) => share.own);
      rowNote.textContent = `this one: over ${rowAfter.toFixed(1)} texts (${rowBefore.toFixed(1)} without); ` +
        (own ? `its own text has ${(100 * own.after).toFixed(1)} %` : "its own text is not among these");
    }

    function drawHistogram(context, width, height, which) {
      if (!pairs) return;
      const { bins, low, high } = drawn, floor = height - 18, most = Math.max(...pairs.subarray(2 * bins * which, 2 * bins * (which + 1)), 1e-9);
      const x = (i) => 4 + (i / bins) * (width - 8), y = (share) => floor - (share / most) * (floor - 14);
      const text = themeColor(root, "--jp-ui-font-color1", "#333"), line = themeColor(root, "--jp-border-color2", "#ccc");
      context.font = "10px sans-serif";
      for (const kind of [1, 0]) {
        const start = bins * (2 * which + kind);
        context.beginPath();
        context.moveTo(x(0), floor);
        for (let i = 0; i < bins; i++) {
          context.lineTo(x(i), y(pairs[start + i]));
          context.lineTo(x(i + 1), y(pairs[start + i]));
        }
        context.lineTo(x(bins), floor);
        context.fillStyle = css(rgb(PALETTE[kind]), 0.25);
        context.fill();
        context.setLineDash(kind ? [4, 2] : []);
        context.strokeStyle = PALETTE[kind];
        context.lineWidth = 1.8;
        context.stroke();
      }
      context.setLineDash([]);
      context.strokeStyle = line;
      context.lineWidth = 1;
      context.strokeRect(4, floor, width - 8, 0);
      context.fillStyle = text;
      for (let tick = 0; tick <= 4; tick++) {
        context.textAlign = tick === 0 ? "left" : tick === 4 ? "right" : "center";
        context.fillText((low + ((high - low) * tick) / 4).toFixed(2), x((bins * tick) / 4), height - 5);
      }
      context.textAlign = "right";
      context.fillText(`highest bin ${(100 * most).toFixed(0)} % of its pairs; own pairs left out`, width - 4, 9);
    }

    function drawBars(context, width, height) {
      if (!drawn) return;
      const shares = drawn.bars, floor = height - 16, most = Math.max(...shares.map(({ after, before }) => Math.max(after, before)));
      const left = 40, step = (width - left) / shares.length, y = (share) => floor - (share / most) * (floor - 10);
      const text = themeColor(root, "--jp-ui-font-color1", "#333");
      context.font = "10px sans-serif";
      shares.forEach(({ after, before, relevant, own }, i) => {
        const x = left + i * step;
        context.fillStyle = PALETTE[relevant ? 0 : 1];
        if (relevant) context.fillRect(x, y(after), Math.max(step - 1, 1), floor - y(after));
        else hatched(context, x, y(after), Math.max(step - 1, 1), floor - y(after), PALETTE[1]);
        if (own) triangle(context, x + step / 2, y(after) - 3, text);
        context.strokeStyle = text; // without the target function
        context.lineWidth = 1.5;
        context.beginPath();
        context.moveTo(x, y(before));
        context.lineTo(x + step, y(before));
        context.stroke();
      });
      context.fillStyle = text;
      context.textAlign = "right";
      context.fillText(`${(100 * most).toPrecision(2)} %`, left - 4, 14);
      context.fillText("0", left - 4, floor);
      context.textAlign = "left";
      context.fillText("line: without the target function; \u25BC own text", left, height - 4);
    }

    function hatched(context, x, y, width, height, color) {
      context.fillStyle = css(rgb(color), 0.35);
      context.fillRect(x, y, width, height);
      context.fillStyle = color;
      for (let line = y; line < y + height; line += 4) context.fillRect(x, line, width, Math.min(1.5, y + height - line));
    }

    function triangle(context, x, y, color) {
      context.fillStyle = color;
      context.beginPath();
      context.moveTo(x, y);
      context.lineTo(x - 4, y - 6);
      context.lineTo(x + 4, y - 6);
      context.fill();
    }

    bars.canvas.addEventListener("pointermove", (event) => {
      if (!drawn) return;
      const i = Math.floor(((event.offsetX - 40) / (bars.canvas.clientWidth - 40)) * drawn.bars.length), bar = drawn.bars[i];
      if (bar) bench.hover(event, bar.row, `${(100 * bar.after).toFixed(2)} %, without the target function ${(100 * bar.before).toFixed(2)} %`);
      else bench.unhover();
    });
    bars.canvas.addEventListener("pointerleave", () => bench.unhover());

    const weightLine = () => (weights.M > 16 ? 7 : weights.M > 8 ? 11 : 16);

    // Three heat maps side by side: Eq. 4, Eq. 5, Eq. 2; a ring marks the heaviest codeword of each sub-vector.
    function drawWeights(context, width) {
      if (!weights) return;
      const { M, K } = weights, line = weightLine(), room = 14, part = (width - 2 * room) / 3, cell = part / K, top = 16;
      const titles = ["without noise, Eq. 4", "Gumbel, Eq. 5", `Eq. 4 + ${sliders.gumbel_weight.value} x Eq. 5`], text = themeColor(root, "--jp-ui-font-color1", "#333");
      const most = [0, 1, 2].map((i) => weightNumbers.subarray(i * M * K, (i + 1) * M * K).reduce((a, b) => Math.max(a, b), 1e-9));
      context.font = "10px sans-serif";
      for (let i = 0; i < 3; i++) {
        const left = i * (part + room), scale = Math.max(1, most[i]);
        context.fillStyle = text;
        context.textAlign = "left";
        context.fillText(titles[i], left, 10);
        for (let m = 0; m < M; m++) {
          let heaviest = 0;
          for (let k = 0; k < K; k++) {
            const weight = weightNumbers[(i * M + m) * K + k];
            if (weight > weightNumbers[(i * M + m) * K + heaviest]) heaviest = k;
            context.fillStyle = css(sequential(weight / scale));
            context.fillRect(left + k * cell, top + m * line, Math.max(cell - (cell > 5 ? 1 : 0), 0.5), line - 1);
          }
          const moved = i > 0 && heaviest !== weights.taken[0][m];
          context.strokeStyle = moved ? "#d55e00" : "#fff";
          context.lineWidth = 1.5;
          context.strokeRect(left + heaviest * cell + 0.5, top + m * line + 0.5, Math.max(cell - 2, 1), line - 2);
        }
        context.fillStyle = text;
        context.fillText(`0 to ${scale.toFixed(1)}`, left, top + M * line + 12);
      }
    }

    async function show() {
      try {
        await makeControls();
        page.hidden = false;
        await loadBoth();
      } catch (error) {
        page.hidden = true;
        bench.error(error.message);
      }
    }

    return { show };
  },
};
