// What every part of the explorer draws with: elements, colours, numbers.

// Told apart by the colour-blind; the same as in the package's figures.
const PALETTE = ["#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#ca9161", "#332288", "#949494", "#999933", "#56b4e9"];
const RIGHT = "\u2713", WRONG = "\u2715", ONLY = "\u25C6"; // beside colour, so that grey tells them apart too

// An element with attributes, listeners (`onclick`), and children that are elements or text.
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "class") made.className = value;
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

// A drop-down list; `options` are [value, label].
function dropdown(options, value, onchange, attributes = {}) {
  const list = element("select", attributes, ...options.map(([v, label]) => element("option", { value: v }, label)));
  list.value = value;
  list.addEventListener("change", () => onchange(list.value));
  return list;
}

// ".512", "-.034", "1.000": as the reports print numbers between -1 and 1.
function decimal(number, digits = 3) {
  return number.toFixed(digits).replace(/^(-?)0\./, "$1.");
}

function counted(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

// A canvas that fills the width of its parent at `height`, sharp on any screen; `draw(context, width, height)` in CSS pixels.
function chart(height, draw) {
  const canvas = element("canvas", { class: "dcmq-chart" });
  const redraw = () => {
    const width = canvas.clientWidth, scale = window.devicePixelRatio || 1;
    if (!width) return;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    const context = canvas.getContext("2d");
    context.scale(scale, scale);
    draw(context, width, height);
  };
  canvas.style.height = `${height}px`;
  const observer = new ResizeObserver(redraw);
  observer.observe(canvas);
  return { canvas, redraw, dispose: () => observer.disconnect() };
}

// The colour of text of the theme, for canvases, which know no CSS variables.
function themeColor(node, name, fallback) {
  return getComputedStyle(node).getPropertyValue(name).trim() || fallback;
}
