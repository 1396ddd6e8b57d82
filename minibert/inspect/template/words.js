// ---- Words

const SEEN = .005; // from here a weight has figures: less would be .00

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
      : "; what is left of each token’s attention counts as 1.";
    said.push(" Left out: ", ...names, rest);
  }
  return said;
}
