// Thumbnails in a grid, and the card that floats beside the pointer: the same in every view.

// Fill `root` with a tile for each of `rows`. Options:
//   kind      "image" or "text": what the tiles show and what a click searches from
//   captions  a text under each tile
//   marks     for each tile {relevant: true | false | null, only: true where another ranker misses it}
//   onclick   (row) instead of "search from here"
// Shift and a click selects.
Bench.prototype.grid = function (root, rows, { kind = "image", captions = [], marks = [], onclick = null } = {}) {
  const tiles = rows.map((row, i) => {
    const mark = marks[i] || {}, body = element("div", { class: "dcmq-tile-body" });
    const tile = element(
      "button",
      { class: "dcmq-tile", "data-row": row, "data-kind": kind, type: "button" },
      body,
      element("span", { class: "dcmq-caption" }, captions[i] || ""),
    );
    if (mark.relevant !== null && mark.relevant !== undefined) {
      tile.classList.add(mark.relevant ? "dcmq-right" : "dcmq-wrong");
      tile.append(element("span", { class: "dcmq-mark" }, mark.relevant ? RIGHT : WRONG));
    }
    if (mark.only) {
      tile.classList.add("dcmq-only");
      tile.append(element("span", { class: "dcmq-only-mark" }, ONLY));
    }
    this._fillTile(body, kind, row);
    tile.addEventListener("click", (event) => {
      this.unhover();
      this.clicked = { x: event.clientX, y: event.clientY };
      if (event.shiftKey) this.toggle([row]);
      else if (onclick) onclick(row);
      else this.searchFrom(kind, row);
    });
    const hint = `click: ${onclick ? "look closer" : "search from here"}, with shift: select`;
    tile.addEventListener("pointerenter", (event) => this.hover(event, row, hint));
    tile.addEventListener("pointerleave", () => this.unhover());
    return tile;
  });
  root.classList.add("dcmq-grid");
  root.replaceChildren(...tiles);
  this.markSelected(root);
};

Bench.prototype._fillTile = async function (body, kind, row) {
  try {
    if (kind === "image") {
      const image = element("img", { alt: "", draggable: "false" });
      body.append(image);
      image.src = await this.thumbnail(row);
    } else {
      body.classList.add("dcmq-tile-text");
      body.textContent = (await this.card(row)).text;
    }
  } catch {
    body.textContent = "\u2026"; // the line of the error is shown already
  }
};

// Show on the tiles under `root` which are selected.
Bench.prototype.markSelected = function (root) {
  const selected = new Set(this.get("selection"));
  for (const tile of root.querySelectorAll(".dcmq-tile"))
    tile.classList.toggle("dcmq-selected", selected.has(Number(tile.dataset.row)));
};

// The floating card of an item beside the pointer; `extra` is a further line.
Bench.prototype.hover = async function (event, row, extra = "") {
  const place = { x: event.clientX, y: event.clientY };
  if (this.clicked && Math.hypot(place.x - this.clicked.x, place.y - this.clicked.y) < 2) return; // a click brought it there
  this.hovered = row;
  try {
    const card = await this.card(row), url = card.image ? await this.thumbnail(row) : null;
    if (this.hovered !== row) return; // the pointer went on
    const floating = this.floating;
    floating.replaceChildren(
      ...(url ? [element("img", { src: url, alt: "" })] : []),
      element("strong", {}, card.id),
      ...(card.text && card.text !== card.id ? [element("span", {}, card.text)] : []),
      ...(card.labels.length ? [element("span", { class: "dcmq-quiet" }, `holds ${card.labels.join(", ")}`)] : []),
      element("span", { class: "dcmq-quiet" }, card.split),
      ...(extra ? [element("span", { class: "dcmq-quiet" }, extra)] : []),
    );
    floating.hidden = false;
    const { width, height } = floating.getBoundingClientRect();
    floating.style.left = `${Math.max(4, place.x + 16 + width > window.innerWidth ? place.x - width - 12 : place.x + 16)}px`;
    floating.style.top = `${Math.max(4, Math.min(place.y + 12, window.innerHeight - height - 8))}px`;
  } catch {
    this.unhover(); // the line of the error is shown already
  }
};

Bench.prototype.unhover = function () {
  this.hovered = null;
  this.floating.hidden = true;
};
