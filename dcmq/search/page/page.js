// The page of `dcmq search serve`: what is searched for stands in the address, so that back, forward and reload work.

const $ = (id) => document.getElementById(id);
const FIRST = 24; // hits; "show more" doubles them
const RETRIES = 6; // of a request that a busy server refused
const uploads = new Map(); // images that were chosen, by the number in the entry of the history that searches with them
let info = null;
let token = "";
let running = new AbortController(); // of the search that is shown

class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

async function ask(address, options = {}) {
  const headers = { ...options.headers, ...(token && { Authorization: `Bearer ${token}` }) };
  for (let attempt = 1; ; attempt++) {
    let answer;
    try {
      answer = await fetch(address, { ...options, headers });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Refusal(0, "The server does not answer: it was stopped, or cannot be reached.");
    }
    if (answer.ok) return answer;
    if (answer.status === 503 && attempt < RETRIES) {
      await pause((Number(answer.headers.get("Retry-After")) || 1) * (0.5 + Math.random()));
      options.signal?.throwIfAborted();
      continue;
    }
    const { error } = await answer.json().catch(() => ({ error: `the server answered ${answer.status}` }));
    throw new Refusal(answer.status, `${error[0].toUpperCase()}${error.slice(1)}.`);
  }
}

// What is searched for: { text } or { like } or { upload }, with among, k, fold and threshold.

function wantedNow() {
  const wanted = Object.fromEntries(new URLSearchParams(location.search));
  return { ...wanted, among: wanted.among ?? "", k: Number(wanted.k) || FIRST, upload: history.state?.upload };
}

function go({ text, like, upload, image, among, k }) {
  const options = { fold: $("fold").checked ? 1 : "", threshold: $("threshold").checked ? "chosen" : "" };
  const parts = Object.entries({ text, like, image, among, k: k === FIRST ? "" : k, ...options }).filter(([, value]) => value);
  history.pushState({ upload }, "", `?${new URLSearchParams(parts)}`);
  return show();
}

const chosenKind = () => document.querySelector("input[name=among]:checked")?.value;

function searchWithFile(file) {
  if (!file) return;
  if (file.size > info.limits.upload_bytes) {
    return tell(`${file.name} has ${(file.size / 1e6).toPrecision(2)} MB: choose an image of at most ${info.limits.upload_bytes / 1e6} MB.`);
  }
  const upload = crypto.getRandomValues(new Uint32Array(1))[0];
  uploads.set(upload, file);
  $("text").value = "";
  return go({ upload, image: file.name || "pasted image", among: chosenKind(), k: FIRST });
}

function tell(message) {
  $("error").textContent = message;
  $("error").hidden = !message;
}

function failed(error) {
  if (error.status === 401) {
    $("search").hidden = true;
    $("token-form").hidden = false;
    $("token").focus();
    if (!token) return tell("");
  }
  tell(error.message);
}

async function show() {
  running.abort();
  running = new AbortController();
  const { signal } = running;
  const wanted = wantedNow();
  const { text = "", like = "", image = "", upload, k, fold = "", threshold = "" } = wanted;
  const among = ["images", "texts"].find((kind) => kind === wanted.among) ?? (info.counts.images ? "images" : "texts");
  const file = uploads.get(upload);
  $("text").value = text;
  document.querySelector(`input[value=${among}]`).checked = true;
  $("fold").checked = Boolean(fold);
  $("threshold").checked = Boolean(threshold);
  $("matches").hidden = !info.thresholds[`${text || !(like || file) ? "texts" : "images"} among ${among}`];
  document.title = [text || like || image, info.name].filter(Boolean).join(" · ");
  tell("");
  $("words").hidden = Boolean(text || like || image) || !info.words.length;
  showQuery(like, file, signal);
  if (image && !file) {
    clear();
    return tell(`${image} was not kept when the page was loaded anew: choose it again.`);
  }
  if (!text && !like && !file) return clear();
  document.body.setAttribute("aria-busy", "true");
  try {
    const address = `/api/search?${new URLSearchParams({ among, k, ...(text && { text }), ...(like && { like }), ...(fold && { fold }), ...(threshold && { threshold }) })}`;
    const type = file?.type || "application/octet-stream";
    const options = file ? { method: "POST", body: file, headers: { "Content-Type": type } } : {};
    const found = await (await ask(address, { ...options, signal })).json();
    draw(found, wanted, signal);
  } catch (error) {
    if (error.name === "AbortError") return;
    clear();
    $("words").hidden = !text || !info.words.length; // one of them may help
    failed(error);
  } finally {
    if (!signal.aborted) document.body.removeAttribute("aria-busy");
  }
}

function showQuery(like, file, signal) {
  const shown = document.createElement("img");
  shown.alt = "The image that is searched with";
  $("query").replaceChildren(shown);
  $("query").hidden = !(like || file);
  if (file) fill(shown, file);
  else if (like) loadThumbnail(`/thumbnail/${like.split("/").map(encodeURIComponent).join("/")}`, shown, signal, () => ($("query").hidden = true));
}

function clear() {
  $("status").textContent = "";
  $("hits").replaceChildren();
  $("more").hidden = true;
}

function draw({ among, hits, threshold, unknown_words: unknown }, { text, like, image, k }, signal) {
  const subject = text ? `“${text}”` : `the image ${like || image}`;
  const named = Object.entries(unknown).map(([word, near]) => (near ? `${word} (did you mean ${near}?)` : word));
  const ignored = named.length ? ` Not known, and left out: ${named.join(", ")}.` : "";
  const count = hits.length === 1 ? among.slice(0, -1) : among;
  const nearest = `The ${hits.length} ${count} nearest to ${subject}, of ${info.counts[among].toLocaleString("en")}`;
  const least = threshold === null ? "" : ` with a score of ${threshold.toFixed(3)} or more`;
  $("status").textContent = `${hits.length ? nearest : `No match for ${subject}: none of ${info.counts[among].toLocaleString("en")} ${among}`}${least}.${ignored}`;
  $("hits").className = among;
  $("hits").replaceChildren(...hits.map((hit) => (among === "images" ? imageItem(hit, signal) : textItem(hit))));
  $("more").hidden = hits.length < k || k >= info.limits.k || hits.length >= info.counts[among];
}

function element(tag, className, ...content) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...content);
  return made;
}

function labels({ rank, score, duplicates }) {
  const more = duplicates.length ? ` +${duplicates.length}` : "";
  const [place, value] = [element("span", "rank", `${rank}${more}`), element("span", "score", score.toFixed(3))];
  if (more) place.title = `and near duplicates: ${duplicates.join(", ")}`;
  value.title = "score: mean cosine, from -1 to 1";
  return [place, value];
}

function imageItem(hit, signal) {
  const id = element("span", "id", element("bdi", "", hit.id));
  id.title = hit.id;
  const [rank, score] = labels(hit);
  if (!hit.thumbnail) return element("li", "", element("figure", "", element("div", "tile name", hit.id), element("figcaption", "", rank, score)));
  const picture = document.createElement("img");
  picture.alt = hit.id;
  const tile = element("button", "tile", picture);
  tile.title = "Search with this image";
  tile.setAttribute("aria-label", `${hit.rank}: search with the image ${hit.id}`);
  tile.onclick = () => {
    $("status").focus();
    go({ like: hit.id, among: "images", k: FIRST });
  };
  loadThumbnail(hit.thumbnail, picture, signal, (gone) => tile.replaceWith(element("div", "tile", gone ? "no image" : "not loaded")));
  return element("li", "", element("figure", "", tile, element("figcaption", "", rank, score, id)));
}

function textItem(hit) {
  const [rank, score] = labels(hit);
  const text = element("button", "", hit.id);
  text.title = info.counts.images ? "Search images for this text" : "Search with this text";
  text.onclick = () => {
    $("status").focus();
    go({ text: hit.id, among: info.counts.images ? "images" : "texts", k: FIRST });
  };
  return element("li", "", rank, text, score);
}

async function loadThumbnail(address, image, signal, onFailure) {
  try {
    fill(image, await (await ask(address, { signal })).blob());
  } catch (error) {
    if (error.name !== "AbortError") onFailure(error.status === 404);
  }
}

function fill(image, blob) {
  image.src = URL.createObjectURL(blob);
  image.onload = image.onerror = () => URL.revokeObjectURL(image.src);
}

async function start() {
  try {
    info = await (await ask("/api/info")).json();
  } catch (error) {
    return failed(error);
  }
  $("token-form").hidden = true;
  $("search").hidden = false;
  $("name").textContent = info.name;
  const counts = Object.entries(info.counts).map(([kind, n]) => `${n.toLocaleString("en")} ${n === 1 ? kind.slice(0, -1) : kind}`);
  $("holds").textContent = `${counts.join(", ")}, as codes of ${info.bits} bits`;
  for (const radio of document.querySelectorAll("input[name=among]")) radio.disabled = !info.counts[radio.value];
  $("words").querySelector("p").textContent = `The student knows ${info.vocabulary.toLocaleString("en")} words, such as`;
  $("words").querySelector("ul").replaceChildren(
    ...info.words.map((word) => {
      const button = element("button", "", word);
      button.onclick = () => go({ text: word, among: chosenKind(), k: FIRST });
      return element("li", "", button);
    }),
  );
  $("text").focus();
  await show();
}

$("search").onsubmit = (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (text) go({ text, among: chosenKind(), k: FIRST });
};
$("token-form").onsubmit = (event) => {
  event.preventDefault();
  keepToken($("token").value.trim());
  start();
};
$("file").onchange = () => {
  searchWithFile($("file").files[0]);
  $("file").value = ""; // so that the same one can be chosen again
};
$("more").onclick = () => go({ ...wantedNow(), among: chosenKind(), k: Math.min(2 * wantedNow().k, info.limits.k) });
$("name").onclick = (event) => {
  event.preventDefault();
  go({});
};
for (const radio of document.querySelectorAll("input[name=among]")) {
  radio.onchange = () => go({ ...wantedNow(), among: radio.value, k: FIRST });
}
for (const box of [$("fold"), $("threshold")]) box.onchange = () => go({ ...wantedNow(), among: chosenKind() });
addEventListener("popstate", () => info && show());
addEventListener("paste", (event) => searchWithFile([...event.clipboardData.files].find((file) => file.type.startsWith("image/"))));
addEventListener("dragover", (event) => {
  event.preventDefault();
  $("drop").hidden = !info;
});
addEventListener("dragleave", (event) => event.relatedTarget ?? ($("drop").hidden = true));
addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").hidden = true;
  if (info) searchWithFile(event.dataTransfer.files[0]);
});

function keepToken(value) {
  token = value;
  sessionStorage.setItem("token", value); // of this tab alone, so that it can be loaded anew
}

const given = new URLSearchParams(location.search);
if (given.has("token")) {
  keepToken(given.get("token"));
  given.delete("token"); // out of the address, which people copy
  history.replaceState(history.state, "", `?${given}`);
}
token = sessionStorage.getItem("token") ?? "";
start();
