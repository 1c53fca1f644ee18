// Failures: queries by their average precision under one ranker, or by how far two rankers differ.

const failuresView = {
  name: "failures",
  title: "Failures",
  create(root, bench) {
    let order = "lowest", stale = true, curves = null;
    const summary = element("span", { class: "dcmq-quiet" }), table = element("table", { class: "dcmq-table" });
    const orders = dropdown(
      [["lowest", "lowest AP on the left"], ["difference", "largest difference"]], order,
      (value) => { order = value; update(); }, { "aria-label": "order of the queries" },
    );
    const drawing = chart(190, draw), legend = element("div", { class: "dcmq-legend" });
    const title = element("h4", {}, "choose a query on the left"), hits = element("div", { class: "dcmq-columns" });
    const search = element("button", { type: "button", hidden: true, onclick: () => bench.set("view", "search") }, "open in search");
    const selectAll = element("button", { type: "button", onclick: () => bench.set("selection", listed().slice(0, 500)) }, "select all listed");
    const body = element("div", { class: "dcmq-split", hidden: true },
      element("div", { class: "dcmq-scroll" }, table),
      element("div", {}, title, drawing.canvas, legend, hits, search));
    root.append(element("div", { class: "dcmq-bar" }, orders, selectAll, summary), body);

    const listed = () => [...table.querySelectorAll("tr[data-row]")].map((line) => Number(line.dataset.row));
    const active = () => bench.get("view") === "failures";
    for (const name of ["gallery", "left", "right"])
      bench.on(name, () => {
        stale = true;
        if (active()) update();
      });
    bench.on("query", () => active() && showQuery());
    bench.on("selection", () => bench.markSelected(hits));

    async function update() {
      stale = false;
      orders.querySelector("option[value=difference]").disabled = !bench.get("right");
      if (!bench.get("right") && order === "difference") orders.value = order = "lowest";
      summary.textContent = "ranking every query \u2026";
      try {
        const { result } = await bench.request("failures", { order });
        body.hidden = false;
        showTable(result);
        await showQuery();
      } catch (error) {
        summary.textContent = "";
        body.hidden = stale = true;
        bench.error(error.message);
      }
    }

    function showTable({ kind, rankers, queries, means, asked, all }) {
      const sample = asked < all ? `a sample of ${asked.toLocaleString("en")} of ` : "";
      const averages = rankers.map((name, i) => `${name} ${decimal(means[i])}`).join(", ");
      summary.textContent = `${sample}${all.toLocaleString("en")} ${kind} queries; mean AP ${averages}`;
      const head = element("tr", {}, element("th", {}, "query"),
        ...rankers.map((name) => element("th", {}, `AP ${name}`)),
        rankers.length > 1 ? element("th", {}, "difference") : null);
      const lines = queries.map(({ row, ap, text, labels }) => {
        const line = element("tr", { "data-row": row, tabindex: "0" },
          element("td", { title: text }, labels.join(", ") || text),
          ...ap.map((value) => element("td", { class: "dcmq-number" }, decimal(value))),
          ap.length > 1 ? element("td", { class: "dcmq-number" }, decimal(ap[0] - ap[1])) : null);
        const choose = () => {
          bench.unhover();
          bench.set("query", { kind, row });
        };
        line.addEventListener("click", (event) => (event.shiftKey ? bench.toggle([row]) : choose()));
        line.addEventListener("keydown", (event) => event.key === "Enter" && choose());
        line.addEventListener("pointerenter", (event) => bench.hover(event, row));
        line.addEventListener("pointerleave", () => bench.unhover());
        return line;
      });
      table.replaceChildren(element("thead", {}, head), element("tbody", {}, ...lines));
    }

    async function showQuery() {
      const query = bench.get("query");
      for (const line of table.querySelectorAll("tr[data-row]"))
        line.classList.toggle("dcmq-current", Number(line.dataset.row) === query.row);
      try {
        const [drawn, found] = await Promise.all([bench.request("precision_curves"), bench.request("search", { k: 12 })]);
        curves = drawn.result;
        drawing.redraw();
        showHits(found.result);
        const card = query.kind === "words" ? null : await bench.card(query.row);
        title.textContent = card ? `${query.kind} ${card.id}: ${card.labels.join(", ")}` : `\u201C${query.text}\u201D`;
        search.hidden = false;
      } catch (error) {
        curves = null;
        drawing.redraw();
        hits.replaceChildren();
        title.textContent = error.message;
      }
    }

    function showHits({ columns, gallery }) {
      const made = columns.filter((column) => column.rows).map((column) => {
        const tiles = element("div", { class: "dcmq-small" });
        const marks = column.rows.map((_, i) => ({ relevant: column.relevant ? column.relevant[i] : null }));
        bench.grid(tiles, column.rows, { kind: gallery === "images" ? "image" : "text", marks });
        return element("section", { class: "dcmq-column" }, element("h4", {}, column.name), tiles);
      });
      hits.replaceChildren(...made);
    }

    function draw(context, width, height) {
      legend.replaceChildren();
      if (!curves) return;
      const left = 34, bottom = 30, right = width - 10, top = 8, floor = height - bottom;
      const text = themeColor(root, "--jp-ui-font-color1", "#333"), line = themeColor(root, "--jp-border-color2", "#ccc");
      const last = Math.max(...curves.curves.map((curve) => curve.ranks.at(-1)));
      const x = (rank) => left + (Math.log(rank) / Math.log(last || 2)) * (right - left), y = (p) => floor - p * (floor - top);
      context.font = "11px sans-serif";
      context.textAlign = "right";
      context.lineWidth = 1;
      for (const p of [0, 0.5, 1]) {
        context.strokeStyle = line;
        context.strokeRect(left, y(p), right - left, 0);
        context.fillStyle = text;
        context.fillText(decimal(p, 1), left - 4, y(p) + 4);
      }
      context.textAlign = "center";
      for (let rank = 1; rank <= last; rank *= 10) context.fillText(rank.toLocaleString("en"), x(rank), floor + 14);
      context.fillText("precision by rank", (left + right) / 2, height - 3);
      context.setLineDash([2, 3]);
      context.strokeStyle = text;
      context.strokeRect(left, y(curves.chance), right - left, 0);
      curves.curves.forEach((curve, i) => {
        context.setLineDash(i ? [6, 3] : []);
        context.lineWidth = 2;
        context.strokeStyle = PALETTE[i];
        context.beginPath();
        curve.ranks.forEach((rank, j) => context.lineTo(x(rank), y(curve.precision[j])));
        context.stroke();
        legend.append(element("span", { style: `border-bottom: 2px ${i ? "dashed" : "solid"} ${PALETTE[i]}` }, curve.name));
      });
      context.setLineDash([]);
      legend.append(element("span", { class: "dcmq-quiet" }, `dotted: by chance, ${decimal(curves.chance)}`));
    }

    return { show: () => (stale ? update() : showQuery()) };
  },
};
