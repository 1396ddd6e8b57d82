"use strict";

// What Python wrote into this file. Places of tokens are counted from 0 here, and from 1 wherever
// people read them; layers and heads always from 1.
const about = JSON.parse(document.getElementById("about").textContent);
const { tokens, framing, second, layers, heads } = about;
const length = tokens.length;

const MEAN = "mean of all";
const VIEWS = ["what it attends to", "who attends to it"];
const SEEN = .005; // from here a weight has figures: less would be .00
const PARTS = ["both texts", "the first text", "the second text"];
const SQUARES = Float32Array.from({ length: 256 }, (_, byte) => (byte / 255) ** 2);

const $ = (id) => document.getElementById(id);
const state = {
  layer: layers[0],
  head: MEAN,
  view: VIEWS[0], // which of the two directions
  part: PARTS[0], // the tokens whose weights are shown
  bare: false, // without [CLS] and [SEP]
  token: Math.max(framing.indexOf(false), 0),
};
let pointed = null; // the token under the mouse, which is looked at instead of the chosen one
let matrix = null; // the weights of the layer and head that are shown, see `weigh`

// ---- Weights

async function unpack(id) {
  const packed = atob($(id).textContent);
  const bytes = new Uint8Array(packed.length);
  for (let i = 0; i < packed.length; i++) bytes[i] = packed.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const unpacked = new Map(); // of each layer asked for: a promise of its bytes, (H, T, T)

function bytesOf(layer) {
  if (!unpacked.has(layer)) unpacked.set(layer, unpack(`layer-${layer}`));
  return unpacked.get(layer);
}

// (T, T), row by row: how much each token attends to each. Without [CLS] and [SEP] the others share
// the whole among them; `kept` says how much of it they had.
function weigh(bytes, head, bare) {
  const area = length * length;
  const weights = new Float32Array(area);
  const chosen = head === MEAN ? Array.from({ length: heads }, (_, i) => i) : [Number(head) - 1];
  for (const one of chosen) {
    for (let i = 0; i < area; i++) weights[i] += SQUARES[bytes[one * area + i]] / chosen.length;
  }
  const kept = new Float32Array(length).fill(1);
  for (let query = 0; bare && query < length; query++) {
    const row = weights.subarray(query * length, (query + 1) * length);
    for (let key = 0; key < length; key++) if (framing[key] || framing[query]) row[key] = 0;
    kept[query] = row.reduce((sum, weight) => sum + weight, 0);
    if (kept[query]) for (let key = 0; key < length; key++) row[key] /= kept[query];
  }
  return { weights, kept };
}

// ---- Words

function write(place, ...parts) {
  place.replaceChildren(...parts);
}

function isolated(text) {
  const element = document.createElement("bdi");
  element.textContent = text;
  return element;
}

// A token as a sentence names it: by its place, too, if there are others like it.
function named(token) {
  const alone = tokens.indexOf(tokens[token]) === tokens.lastIndexOf(tokens[token]);
  return ["“", isolated(tokens[token]), alone ? "”" : `” (token ${token + 1})`];
}

const figure = (weight) => weight.toFixed(2).replace(/^0/, "");

function listed(items) {
  const between = (i) => (i === items.length - 1 ? " and " : ", ");
  return items.flatMap((item, i) => (i ? [between(i), ...item] : item));
}

function sentenceOf(token, weights) {
  const head = state.head === MEAN ? "mean of all heads" : `head ${state.head}`;
  const shown = tokens.map((_, i) => i).filter((i) => weights[i] >= SEEN);
  const most = shown.sort((a, b) => weights[b] - weights[a]).slice(0, 3);
  const found = listed(most.map((i) => [...named(i), ` ${figure(weights[i])}`]));
  const [much, none] =
    state.view === VIEWS[0]
      ? [" attends most to ", " attends to none of those shown with .01 or more"]
      : [" is attended to most by ", " is attended to by none of those shown with .01 or more"];
  const said = most.length ? [much, ...found] : [none];
  const where = `Layer ${state.layer}, ${head}: `;
  return [where, ...named(token), ...said, ".", ...remarks(token, weights)];
}

// What the figures of the sentence are shares of.
function remarks(token, weights) {
  const said = [];
  const outward = state.view === VIEWS[0];
  if (state.part !== PARTS[0] && outward) {
    const sum = weights.reduce((total, weight) => total + weight, 0);
    said.push(` On ${state.part} altogether: ${figure(sum)}.`);
  }
  if (!outward) {
    said.push(" Each is a share of that other token’s attention, so they need not add up to 1.");
  }
  if (state.bare) {
    const names = listed(about.frame.map((name) => [isolated(name)]));
    const rest = outward
      ? `; the other tokens have ${figure(matrix.kept[token])} of its attention, which counts as 1.`
      : "; what a token’s attention has besides them counts as 1.";
    said.push(" Left out: ", ...names, rest);
  }
  return said;
}

// ---- Drawing

const buttons = tokens.map((text, i) => {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "token";
  button.dataset.token = i;
  const written = about.written[i];
  if (written && written !== text) button.title = `in the text: ${written}`;
  const bar = document.createElement("span");
  bar.className = "bar";
  const number = document.createElement("span");
  number.className = "number";
  button.append(bar, isolated(text), number);
  return button;
});

const isSecond = (token) => token >= second;
const inPart = (token) => state.part === PARTS[0] || isSecond(token) === (state.part === PARTS[2]);

// The weights, (T,), that are on screen when this token is looked at.
function weightsOf(token) {
  const weights = new Float32Array(length);
  for (let other = 0; other < length; other++) {
    const place = state.view === VIEWS[0] ? token * length + other : other * length + token;
    if (inPart(other)) weights[other] = matrix.weights[place];
  }
  return weights;
}

// Only what changes is written: of hundreds of tokens most stay as they were.
function set(element, property, value) {
  if (element[property] !== value) element[property] = value;
}

const drawn = new Float32Array(length); // the weights on screen

function draw() {
  if (!matrix) return;
  const token = pointed ?? state.token;
  const weights = weightsOf(token);
  buttons.forEach((button, i) => {
    const left = state.bare && framing[i];
    const aside = left || !inPart(i);
    const weight = weights[i];
    set(button, "disabled", left);
    set(button, "className", aside ? "token aside" : "token");
    set(button, "ariaPressed", String(i === token));
    set(button, "tabIndex", i === state.token ? 0 : -1);
    set(button.lastChild, "textContent", weight >= SEEN ? figure(weight) : "");
    if (drawn[i] !== weight) {
      drawn[i] = weight;
      button.style.setProperty("--weight", weight.toFixed(4));
      button.style.setProperty("--seen", `${(100 * Math.sqrt(weight)).toFixed(1)}%`);
    }
  });
  write($("sentence"), ...sentenceOf(token, weights));
}

// What the matrix depends on.
const wantedKey = () => `${state.layer} ${state.head} ${state.bare}`;

async function show() {
  for (const key of ["layer", "head", "view", "part"]) $(key).value = state[key];
  $("bare").checked = state.bare;
  markHead();
  $("reading").setAttribute("aria-busy", "true");
  const wanted = wantedKey();
  try {
    const bytes = await bytesOf(state.layer);
    if (wanted !== wantedKey()) return; // somebody was faster
    if (matrix?.key !== wanted) {
      matrix = { key: wanted, ...weigh(bytes, state.head, state.bare) };
    }
  } catch (error) {
    trouble(error);
    return;
  }
  draw();
  $("reading").setAttribute("aria-busy", "false");
}

function trouble(error) {
  $("trouble").hidden = false;
  $("trouble").textContent = window.DecompressionStream
    ? `The weights in this file cannot be unpacked: ${error.message}. Is the file whole?`
    : "This browser cannot unpack the weights (DecompressionStream); one from 2023 or later can.";
}

// ---- All heads

const squares = []; // { layer, head, button }

function makeGrid() {
  const grid = $("grid");
  grid.style.gridTemplateColumns = `auto repeat(${heads}, minmax(0, 1fr))`;
  const number = (text) => {
    const cell = document.createElement("span");
    cell.className = "number";
    cell.textContent = text;
    grid.append(cell);
  };
  number("layer");
  for (let head = 1; head <= heads; head++) number(head);
  for (const layer of layers) {
    number(layer);
    for (let head = 1; head <= heads; head++) {
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("aria-label", `layer ${layer}, head ${head}`);
      const canvas = document.createElement("canvas");
      canvas.width = canvas.height = about.side;
      canvas.classList.toggle("few", about.side <= 24);
      button.append(canvas);
      button.addEventListener("click", () => change({ layer, head: String(head) }));
      grid.append(button);
      squares.push({ layer, head: String(head), button });
    }
  }
}

// Ink is the colour that the style gives, as opaque as the weight is large: so it fits every theme.
async function paintGrid() {
  const bytes = await unpack("pictures");
  const area = about.side ** 2;
  const [red, green, blue] = getComputedStyle(squares[0].button).color.match(/[\d.]+/g).map(Number);
  squares.forEach(({ button }, i) => {
    const image = new ImageData(about.side, about.side);
    for (let place = 0; place < area; place++) {
      image.data.set([red, green, blue, bytes[i * area + place]], 4 * place);
    }
    button.firstChild.getContext("2d").putImageData(image, 0, 0);
  });
  $("grid").dataset.ink = [red, green, blue];
  $("grid").setAttribute("aria-busy", "false");
}

function markHead() {
  const current = squares.find(({ layer, head }) => layer === state.layer && head === state.head);
  const entry = current ?? squares.find(({ layer }) => layer === state.layer);
  for (const square of squares) {
    square.button.setAttribute("aria-pressed", square === current);
    square.button.tabIndex = square === entry ? 0 : -1;
  }
}

// ---- State, which is in the address, too

function allowed(wanted) {
  const next = { ...state, ...wanted };
  const has = {
    layer: layers.includes(next.layer),
    head: [...$("head").options].some((option) => option.value === next.head),
    view: VIEWS.includes(next.view),
    part: PARTS.includes(next.part) && (second < length || next.part === PARTS[0]),
    token: Number.isInteger(next.token) && next.token >= 0 && next.token < length,
  };
  for (const key of Object.keys(has)) if (!has[key]) next[key] = state[key];
  if (next.bare && framing[next.token]) next.token = framing.indexOf(false);
  return next;
}

function change(wanted) {
  Object.assign(state, allowed(wanted));
  const { layer, head, view, part, bare, token } = state;
  const kept = { layer, head, view, part, bare, token: token + 1 };
  history.replaceState(null, "", `#${new URLSearchParams(kept)}`);
  return show();
}

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  const wanted = {};
  for (const key of ["head", "view", "part"]) if (given.has(key)) wanted[key] = given.get(key);
  if (given.has("layer")) wanted.layer = Number(given.get("layer"));
  if (given.has("token")) wanted.token = Number(given.get("token")) - 1;
  if (given.has("bare")) wanted.bare = given.get("bare") === "true";
  Object.assign(state, allowed(wanted));
  return show();
}

// ---- What people do

function fill(select, values) {
  for (const value of values) {
    const option = document.createElement("option");
    option.textContent = value; // which is its value, too
    select.append(option);
  }
}

function layerBeside(step) {
  return layers[layers.indexOf(state.layer) + step] ?? state.layer;
}

function tokenBeside(step) {
  let token = state.token + step;
  while (state.bare && framing[token]) token += step;
  return tokens[token] === undefined ? state.token : token;
}

function onTokenKey(event) {
  const steps = {
    ArrowLeft: () => ({ token: tokenBeside(-1) }),
    ArrowRight: () => ({ token: tokenBeside(1) }),
    ArrowUp: () => ({ layer: layerBeside(-1) }),
    ArrowDown: () => ({ layer: layerBeside(1) }),
    Home: () => ({ token: state.bare ? framing.indexOf(false) : 0 }),
    End: () => ({ token: state.bare ? framing.lastIndexOf(false) : length - 1 }),
  };
  const step = steps[event.key];
  if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  pointed = null;
  change(step());
  buttons[state.token].focus();
}

function onGridKey(event) {
  const steps = {
    ArrowLeft: () => ({ head: String(Number(state.head) - 1) }),
    ArrowRight: () => ({ head: state.head === MEAN ? "1" : String(Number(state.head) + 1) }),
    ArrowUp: () => ({ layer: layerBeside(-1) }),
    ArrowDown: () => ({ layer: layerBeside(1) }),
  };
  const step = steps[event.key];
  if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  change(step());
  squares.find(({ button }) => button.tabIndex === 0).button.focus();
}

function begin() {
  write($("model"), about.model);
  document.title = `Attention of ${about.model}`;
  if (about.cut) {
    $("cut").hidden = false;
    $("cut").textContent = `The text is longer; tokens that were cut off: ${about.cut}.`;
  }
  const names = listed(about.frame.map((name) => [isolated(name)]));
  write($("bare-text"), "leave out ", ...names);
  $("bare-label").hidden = !framing.includes(false);
  fill($("layer"), layers);
  fill($("head"), [MEAN, ...Array.from({ length: heads }, (_, i) => i + 1)]);
  fill($("view"), VIEWS);
  fill($("part"), PARTS);
  const isPair = second < length;
  $("part-label").hidden = !isPair;
  for (const [name, from, to] of [["first text", 0, second], ["second text", second, length]]) {
    if (from === to) continue;
    const text = document.createElement("div");
    text.className = "text";
    const label = document.createElement("p");
    label.className = "name";
    label.textContent = name;
    const row = document.createElement("div");
    row.className = "row";
    row.append(...buttons.slice(from, to));
    text.append(...(isPair ? [label, row] : [row]));
    $("tokens").append(text);
  }
  const marks = [
    ["##", "## goes on with the word before it."],
    ["Ġ", "Ġ stands for the space before a word."],
    ["▁", "▁ stands for the space before a word."],
  ];
  const occurring = marks.filter(([mark]) => tokens.some((token) => token.startsWith(mark)));
  $("marks").textContent = occurring.map(([, said]) => said).join(" ");
  if (about.side < length) {
    $("shrunk").textContent = "Several tokens share a place; it has the largest of their weights.";
  }

  $("layer").addEventListener("change", (event) => change({ layer: Number(event.target.value) }));
  for (const key of ["head", "view", "part"]) {
    $(key).addEventListener("change", (event) => change({ [key]: event.target.value }));
  }
  $("bare").addEventListener("change", (event) => change({ bare: event.target.checked }));
  const tokenOf = (event) => event.target.closest?.(".token:enabled")?.dataset.token;
  const choose = (event) => {
    const token = tokenOf(event);
    if (token !== undefined && Number(token) !== state.token) change({ token: Number(token) });
  };
  $("tokens").addEventListener("focusin", choose);
  $("tokens").addEventListener("click", choose); // some browsers give no focus to what is clicked
  $("tokens").addEventListener("pointerover", (event) => {
    const token = tokenOf(event);
    pointed = token === undefined ? pointed : Number(token);
    draw();
  });
  $("tokens").addEventListener("pointerleave", () => {
    pointed = null;
    draw();
  });
  $("tokens").addEventListener("keydown", onTokenKey);
  $("grid").addEventListener("keydown", onGridKey);
  window.addEventListener("hashchange", readAddress);
  makeGrid();
  const paint = () => paintGrid().catch(trouble);
  paint();
  for (const query of ["(prefers-color-scheme: dark)", "(forced-colors: active)"]) {
    matchMedia(query).addEventListener("change", paint);
  }
  readAddress();
}

begin();
