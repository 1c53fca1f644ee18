// What the views that draw many numbers share: their colours, sliders, and buffers as numbers.

const VIRIDIS = [
  [68, 1, 84], [72, 36, 117], [65, 68, 135], [53, 95, 141], [42, 120, 142], [33, 145, 140],
  [34, 168, 132], [68, 191, 112], [122, 209, 81], [189, 223, 38], [253, 231, 37],
];
const OTHER = [148, 148, 148]; // grey: what has no colour of its own
const CATEGORIES = PALETTE.map(rgb).filter((color) => color.some((part, i) => part !== OTHER[i]));
const ON_DARK = { "51,34,136": [251, 175, 228], "153,153,51": [236, 225, 51] }; // pink and yellow for what is faint on a dark ground

// [red, green, blue] of "#rrggbb".
function rgb(hex) {
  return [1, 3, 5].map((start) => parseInt(hex.slice(start, start + 2), 16));
}

function css([red, green, blue], alpha = 1) {
  return `rgb(${red} ${green} ${blue} / ${alpha})`;
}

// [red, green, blue] for a share from 0 to 1: from dark to bright, as the package's figures draw it.
function sequential(share) {
  const place = Math.min(Math.max(share, 0), 1) * (VIRIDIS.length - 1), i = Math.min(Math.floor(place), VIRIDIS.length - 2);
  return VIRIDIS[i].map((low, c) => Math.round(low + (place - i) * (VIRIDIS[i + 1][c] - low)));
}

// [red, green, blue] of a category; there are colours for the first nine, and grey for the others.
function categorical(number) {
  const color = CATEGORIES[number] || OTHER, dark = document.body.dataset.jpThemeLight === "false";
  return (dark && ON_DARK[color]) || color;
}

// The numbers in a buffer of an answer.
function numbers(type, buffer) {
  return new type(buffer.buffer.slice(buffer.byteOffset, buffer.byteOffset + buffer.byteLength));
}

// A scale from the darkest to the brightest colour between two labels.
function colorScale(low, high) {
  const stops = [0, 0.2, 0.4, 0.6, 0.8, 1].map((share) => css(sequential(share))).join(", ");
  return element("span", { class: "dcmq-scale" }, low, element("i", { style: `background: linear-gradient(to right, ${stops})` }), high);
}

// A labelled slider that shows its value. It moves from `low` to `high` by equal steps, by equal factors (`log`), or over whole
// numbers (`whole`); `oninput(value)` is called on every move. `limit(high)` changes the end of a slider over whole numbers.
function slider(label, { low, high, value, log = false, whole = false }, oninput) {
  const scale = log ? Math.log : (number) => number, unscale = log ? Math.exp : (place) => place, from = scale(low);
  let current = value, last = whole ? high - low : 200;
  const input = element("input", { type: "range", min: 0, max: last, step: 1, "aria-label": label }), shown = element("output", {});
  const show = () => {
    input.value = Math.round(((scale(current) - from) / (scale(high) - from || 1)) * last);
    shown.textContent = current;
  };
  input.addEventListener("input", () => {
    const place = from + ((scale(high) - from) * input.value) / (last || 1);
    current = whole ? Math.round(place) : Number(unscale(place).toPrecision(3));
    shown.textContent = current;
    oninput(current);
  });
  show();
  return {
    root: element("label", { class: "dcmq-slider" }, `${label} `, input, shown),
    get value() {
      return current;
    },
    limit(newHigh) {
      if (newHigh === high) return;
      [high, last, current] = [newHigh, newHigh - low, Math.min(current, newHigh)];
      input.max = last;
      show();
    },
  };
}

// A function that calls `draw` once before the next frame, however often it is called.
function onNextFrame(draw) {
  let asked = false;
  return () => {
    if (!asked) requestAnimationFrame(() => {
      asked = false;
      draw();
    });
    asked = true;
  };
}
