// The frame: rankers and gallery, a tab for each view, the selection that all views share, and the line of the last error.

function render({ model, el }) {
  const bench = new Bench(model), info = bench.get("info");
  const root = element("div", { class: "dcmq-explorer", "data-lm-suppress-shortcuts": "true" });
  root.addEventListener("keydown", (event) => event.stopPropagation()); // else JupyterLab takes the keys as commands
  bench.floating = element("div", { class: "dcmq-card", hidden: true });

  const names = info.rankers.map(({ name }) => [name, name]);
  const left = dropdown(names, bench.get("left"), (name) => bench.set("left", name), { "aria-label": "left ranker" });
  const right = dropdown([...names, ["", "none"]], bench.get("right"), (name) => bench.set("right", name), { "aria-label": "right ranker" });
  const galleries = Object.entries(info.kinds).filter(([, count]) => count).map(([kind]) => [kind, kind]);
  const gallery = dropdown(galleries, bench.get("gallery"), (kind) => bench.set("gallery", kind), { "aria-label": "gallery" });
  for (const [name, list] of Object.entries({ left, right, gallery })) bench.on(name, (value) => (list.value = value));
  const description = element("span", { class: "dcmq-quiet" });
  const describe = () => {
    const chosen = info.rankers.filter(({ name }) => name === bench.get("left") || name === bench.get("right"));
    description.textContent = chosen.map((ranker) => `${ranker.name}: ${ranker.description}`).join(". ");
  };
  for (const name of ["left", "right"]) bench.on(name, describe);

  const tabs = element("div", { class: "dcmq-tabs", role: "tablist" }), pages = element("div", { class: "dcmq-pages" });
  const views = VIEWS.map((view) => {
    const page = element("div", { class: `dcmq-page dcmq-${view.name}`, role: "tabpanel" });
    const tab = element("button", { type: "button", role: "tab", "data-view": view.name, onclick: () => bench.set("view", view.name) }, view.title);
    tabs.append(tab);
    pages.append(page);
    return { name: view.name, tab, page, made: view.create(page, bench) };
  });
  const open = () => {
    showError("");
    bench.unhover();
    for (const { name, tab, page, made } of views) {
      const current = name === bench.get("view");
      tab.setAttribute("aria-selected", current);
      page.hidden = !current;
      if (current) made.show();
    }
  };
  bench.on("view", open);

  const line = element("div", { class: "dcmq-error", role: "alert", hidden: true });
  const showError = (text) => {
    line.textContent = text;
    line.hidden = !text;
  };
  bench.error = showError;
  bench.busy = (busy) => (root.dataset.busy = busy);
  for (const name of ["query", "gallery", "left", "right"]) bench.on(name, () => showError(""));

  root.append(
    element("div", { class: "dcmq-bar dcmq-head" },
      element("strong", {}, info.name), element("span", { class: "dcmq-quiet" }, counted(info.items, "item")),
      element("label", {}, "left ", left), element("label", {}, "right ", right), element("label", {}, "search in ", gallery)),
    element("div", { class: "dcmq-bar" }, description),
    tabs, selectionStrip(bench), line, pages, bench.floating,
  );
  el.append(root);
  describe();
  requestAnimationFrame(open); // once the pages have a width
  return () => bench.dispose();
}

// The selected items, with buttons to clear and to export them.
function selectionStrip(bench) {
  const count = element("span", { class: "dcmq-quiet" }), tiles = element("div", { class: "dcmq-strip" });
  const clear = element("button", { type: "button", onclick: () => bench.set("selection", []) }, "clear");
  const file = element("input", { type: "text", value: "selection.csv", title: "a file for the export, .csv or .parquet", "aria-label": "file" });
  const note = element("span", { class: "dcmq-quiet" });
  const save = element("button", { type: "button" }, "export");
  save.addEventListener("click", async () => {
    try {
      const { result } = await bench.request("export", { file: file.value.trim() });
      note.textContent = `${counted(result.items, "item")} written to ${result.file}`;
    } catch (error) {
      bench.error(error.message);
    }
  });
  const strip = element("div", { class: "dcmq-selection" }, count, tiles, clear, file, save, note);
  const update = () => {
    const rows = bench.get("selection");
    strip.hidden = !rows.length;
    note.textContent = "";
    count.textContent = `${rows.length} selected`;
    if (rows.length) showStrip(bench, tiles, rows.slice(0, 40));
  };
  bench.on("selection", update);
  update();
  return strip;
}

async function showStrip(bench, tiles, rows) {
  try {
    const cards = await Promise.all(rows.map((row) => bench.card(row)));
    if (bench.get("selection")[0] !== rows[0]) return; // changed meanwhile
    tiles.replaceChildren();
    for (const [kind, has] of [["image", (card) => card.image], ["text", (card) => !card.image]]) {
      const part = element("div", { class: "dcmq-small" }), own = rows.filter((_, i) => has(cards[i]));
      if (own.length) {
        bench.grid(part, own, { kind });
        tiles.append(part);
      }
    }
  } catch {
    tiles.replaceChildren(); // the line of the error is shown already
  }
}

export default { render };
