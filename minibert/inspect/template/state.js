// ---- What is shown: the state, which is in the address, too

const MEAN = "mean of all";
const VIEWS = ["what it attends to", "who attends to it"];
const PARTS = ["both texts", "the first text", "the second text"];

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

// The state with what is wanted of it; what cannot be stays as it was.
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

function layerBeside(step) {
  return layers[layers.indexOf(state.layer) + step] ?? state.layer;
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
