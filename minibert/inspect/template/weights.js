"use strict";

// What Python wrote into this file. Places of tokens are counted from 0 here, and from 1 wherever
// people read them; layers and heads always from 1.
const about = JSON.parse(document.getElementById("about").textContent);
const { tokens, framing, second, layers, heads } = about;
const length = tokens.length;

const $ = (id) => document.getElementById(id);

// ---- Weights

const SQUARES = Float32Array.from({ length: 256 }, (_, byte) => (byte / 255) ** 2);

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
