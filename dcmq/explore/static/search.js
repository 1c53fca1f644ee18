// Search: a query in words, or an image or text, and what two rankers find for it side by side.

const searchView = {
  name: "search",
  title: "Search",
  create(root, bench) {
    const words = element("input", {
      class: "dcmq-words", type: "search", placeholder: "words to search for", "aria-label": "words to search for",
    });
    const back = element("button", { type: "button", title: "the query before", onclick: goBack }, "\u2190 back");
    const shown = element("span", { class: "dcmq-query" }), more = element("button", { type: "button" }, "more");
    const summary = element("span", { class: "dcmq-quiet" }), columns = element("div", { class: "dcmq-columns" });
    const ask = bench.newest(), history = [];
    let k = 24, current = bench.get("query"), goingBack = false, pause = 0, stale = true;

    words.addEventListener("input", () => {
      clearTimeout(pause);
      pause = setTimeout(searchWords, 250);
    });
    words.addEventListener("keydown", (event) => event.key === "Enter" && searchWords());
    more.addEventListener("click", () => {
      k = Math.min(200, 2 * k);
      update();
    });
    root.append(
      element("div", { class: "dcmq-bar" }, words, back, shown),
      element("div", { class: "dcmq-bar" }, summary),
      columns,
      element("div", { class: "dcmq-bar" }, more),
    );

    function searchWords() {
      clearTimeout(pause);
      const text = words.value.trim(), query = bench.get("query");
      if (text && !(query.kind === "words" && query.text === text)) bench.set("query", { kind: "words", text });
    }

    function goBack() {
      const before = history.pop();
      if (!before) return;
      goingBack = true;
      bench.set("query", before);
    }

    const same = (one, other) => JSON.stringify(one) === JSON.stringify(other); // Python sends copies
    bench.on("query", (query) => {
      if (same(query, current)) return;
      if (!goingBack) history.push(current);
      goingBack = false;
      current = query;
      k = 24;
      changed();
    });
    for (const name of ["gallery", "left", "right"]) bench.on(name, changed);
    bench.on("selection", () => bench.markSelected(columns));

    function changed() {
      stale = true;
      if (bench.get("view") === "search") update();
    }

    async function update() {
      stale = false;
      showQuery();
      try {
        const answer = await ask("search", { k });
        if (answer) show(answer.result);
      } catch (error) {
        bench.error(error.message);
      }
    }

    async function showQuery() {
      const query = bench.get("query");
      back.disabled = !history.length;
      shown.replaceChildren();
      if (query.kind === "words") {
        if (document.activeElement !== words) words.value = query.text;
        return;
      }
      words.value = "";
      const card = await bench.card(query.row);
      const thumbnail = element("img", { class: "dcmq-query-image", alt: "" });
      if (!same(bench.get("query"), query)) return;
      if (query.kind === "image") {
        shown.replaceChildren("near the image ", thumbnail, ` ${card.id}`);
        thumbnail.src = await bench.thumbnail(query.row);
      } else shown.replaceChildren(`near the text \u201C${card.text}\u201D`);
      if (card.labels.length) shown.append(element("span", { class: "dcmq-quiet" }, ` holds ${card.labels.join(", ")}`));
      thumbnail.addEventListener("pointerenter", (event) => bench.hover(event, query.row));
      thumbnail.addEventListener("pointerleave", () => bench.unhover());
    }

    function show({ columns: found, gallery, shared }) {
      const kind = gallery === "images" ? "image" : "text";
      const first = shared === null ? 0 : found[0].rows.length;
      summary.textContent = first
        ? `${shared} of the first ${first} in common. ${ONLY}: found here, missed by the other among its first ${first}. ` +
          "Under a tile: its score, #its rank with the other."
        : "";
      columns.replaceChildren(...found.map((column) => showColumn(column, kind)));
      more.hidden = k >= 200;
    }

    function showColumn(column, kind) {
      const made = element("section", { class: "dcmq-column", "data-ranker": column.name }, element("h4", {}, column.name));
      if (column.error) {
        made.append(element("p", { class: "dcmq-note" }, column.error));
        return made;
      }
      if (column.ap !== undefined)
        made.firstChild.append(
          element("span", { class: "dcmq-quiet" },
            ` ${Math.round(column.precision * column.rows.length)} of ${column.rows.length} relevant, AP ${decimal(column.ap)}`),
        );
      if (column.unknown.length)
        made.append(element("p", { class: "dcmq-note" }, `it does not know ${column.unknown.join(", ")}`));
      const tiles = element("div"), others = column.other_ranks;
      bench.grid(tiles, column.rows, {
        kind,
        captions: column.scores.map((score, i) => decimal(score, 2) + (others ? ` \u00B7 #${others[i].toLocaleString("en")}` : "")),
        marks: column.rows.map((_, i) => {
          const relevant = column.relevant ? column.relevant[i] : null;
          return { relevant, only: others && others[i] > column.rows.length && relevant !== false };
        }),
      });
      made.append(tiles);
      return made;
    }

    return { show: () => stale && update() };
  },
};
