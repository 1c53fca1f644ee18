// The bench as views see it: requests to Python, the shared state, and thumbnails on demand.

const TRAITS = { query: "_query", selection: "_selection", info: "_info" }; // the others go by their own names
const MOST_THUMBNAILS = 1500, THUMBNAILS_AT_A_TIME = 24, THUMBNAIL_SIZE = 128, MOST_CARDS = 3000;

class Bench {
  constructor(model) {
    this.model = model;
    this.prefix = `${Math.random().toString(36).slice(2)}-`; // of the ids of this view's requests
    this.waiting = new Map(); // id -> {resolve, reject}
    this.listeners = [];
    this.thumbnails = new Map(); // row -> promise of an object URL, the least recently used first
    this.cards = new Map(); // row -> promise of the item's card
    this.wanted = { thumbnails: new Map(), cards: new Map() }; // row -> {resolve, reject}, until the next frame
    this.error = this.busy = () => {}; // the frame says where lines are shown, and that Python works
    this.onMessage = (message, buffers) => {
      const request = this.waiting.get(message.id);
      if (!request) return; // of another view of the same explorer
      this.waiting.delete(message.id);
      this.busy(this.waiting.size > 0);
      if (message.error !== undefined) request.reject(new Error(message.error));
      else request.resolve({ result: message.result, buffers: buffers || [] });
    };
    model.on("msg:custom", this.onMessage);
  }

  // Ask Python; the promise is rejected with an Error whose message is the one line to show.
  request(kind, args = {}) {
    const id = this.prefix + this.waiting.size + Math.random().toString(36).slice(2);
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.busy(true);
      this.model.send({ id, kind, arguments: args });
    });
  }

  // A request function for what changes quickly, as sliders do: one is on its way, the newest waits, those between are
  // dropped and resolve to null.
  newest() {
    let busy = false, next = null;
    const send = async ({ kind, args, resolve, reject }) => {
      busy = true;
      try {
        const answer = await this.request(kind, args);
        resolve(next ? null : answer);
      } catch (error) {
        reject(error);
      }
      busy = false;
      const following = next;
      next = null;
      if (following) send(following);
    };
    return (kind, args = {}) =>
      new Promise((resolve, reject) => {
        if (next) next.resolve(null);
        const asked = { kind, args, resolve, reject };
        if (busy) next = asked;
        else send(asked);
      });
  }

  get(name) {
    return this.model.get(TRAITS[name] || name);
  }

  // Change the shared state: at once here, and in Python, which may refuse it; then the old value comes back with a line.
  set(name, value) {
    const trait = TRAITS[name] || name, before = this.model.get(trait);
    const told = this.request("set", { name, value }); // first: listeners ask for what follows from it
    this.model.set(trait, value);
    return told.catch((error) => {
      this.model.set(trait, before);
      this.error(error.message);
    });
  }

  // Call `callback(value)` when a part of the shared state changes, by whomever.
  on(name, callback) {
    const event = `change:${TRAITS[name] || name}`;
    const listener = () => callback(this.get(name));
    this.model.on(event, listener);
    this.listeners.push([event, listener]);
  }

  // The object URL of a row's thumbnail.
  thumbnail(row) {
    return this._batched("thumbnails", row, MOST_THUMBNAILS);
  }

  // The card of a row: {id, text, labels, split, image, readable}.
  card(row) {
    return this._batched("cards", row, MOST_CARDS);
  }

  _batched(kind, row, most) {
    const known = this[kind];
    let promise = known.get(row);
    if (promise) known.delete(row); // and put last again
    else {
      promise = new Promise((resolve, reject) => {
        const wanted = this.wanted[kind];
        if (!wanted.size) requestAnimationFrame(() => this._load(kind));
        wanted.set(row, { resolve, reject });
      });
      promise.catch(() => known.delete(row));
    }
    known.set(row, promise);
    if (known.size > most) {
      const [oldest, dropped] = known.entries().next().value;
      known.delete(oldest);
      if (kind === "thumbnails") dropped.then((url) => URL.revokeObjectURL(url), () => {});
    }
    return promise;
  }

  async _load(kind) {
    const wanted = [...this.wanted[kind]];
    this.wanted[kind] = new Map();
    for (let start = 0; start < wanted.length; start += THUMBNAILS_AT_A_TIME) {
      const part = wanted.slice(start, start + THUMBNAILS_AT_A_TIME), rows = part.map(([row]) => row);
      const args = kind === "thumbnails" ? { rows, size: THUMBNAIL_SIZE } : { rows };
      try {
        const { result, buffers } = await this.request(kind, args);
        part.forEach(([, { resolve }], i) => {
          if (kind === "cards") resolve(result.cards[i]);
          else resolve(URL.createObjectURL(new Blob([buffers[i]], { type: "image/jpeg" })));
        });
      } catch (error) {
        part.forEach(([, { reject }]) => reject(error));
        this.error(error.message);
      }
    }
  }

  // Search from an item: its image or its text becomes the query.
  searchFrom(kind, row) {
    this.set("query", { kind, row });
    this.set("view", "search");
  }

  toggle(rows) {
    const selected = new Set(this.get("selection"));
    const remove = rows.every((row) => selected.has(row));
    rows.forEach((row) => (remove ? selected.delete(row) : selected.add(row)));
    return this.set("selection", [...selected]);
  }

  dispose() {
    this.model.off("msg:custom", this.onMessage);
    this.listeners.forEach(([event, listener]) => this.model.off(event, listener));
    for (const promise of this.thumbnails.values()) promise.then((url) => URL.revokeObjectURL(url), () => {});
  }
}
