// ---- Tokens

const buttons = tokens.map((text, i) => {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "token";
  button.dataset.token = i;
  const written = about.written[i];
  const bare = text.replace(/^(##|Ġ|▁)/, "");
  if (written && written !== bare) button.title = `in the text: ${written}`;
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

function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

const drawn = new Float32Array(length); // the weights on screen

function draw() {
  if (matrix?.key !== wantedKey()) return; // it is on its way
  const token = pointed ?? state.token;
  const weights = weightsOf(token);
  buttons.forEach((button, i) => {
    const left = state.bare && framing[i];
    const aside = left || !inPart(i);
    const weight = weights[i];
    set(button, "disabled", left);
    set(button, "className", aside ? "token aside" : "token");
    setAttribute(button, "aria-pressed", String(i === token));
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

function makeTokens() {
  for (const [name, from, to] of [["first text", 0, second], ["second text", second, length]]) {
    if (from === to) continue;
    const text = document.createElement("div");
    text.className = "text";
    const row = document.createElement("div");
    row.className = "row";
    row.append(...buttons.slice(from, to));
    text.append(row);
    if (second < length) {
      text.setAttribute("role", "group");
      text.setAttribute("aria-label", name);
      const label = document.createElement("p");
      label.className = "name";
      label.textContent = name;
      text.prepend(label);
    }
    $("tokens").append(text);
  }
  const tokenOf = (event) => event.target.closest(".token:enabled")?.dataset.token;
  const choose = (event) => {
    const token = tokenOf(event);
    if (token !== undefined && Number(token) !== state.token) change({ token: Number(token) });
  };
  const point = (token) => {
    pointed = token;
    draw();
  };
  $("tokens").addEventListener("focusin", choose);
  $("tokens").addEventListener("click", choose); // some browsers give no focus to what is clicked
  $("tokens").addEventListener("pointerover", (event) => {
    const token = tokenOf(event);
    if (token !== undefined) point(Number(token));
  });
  $("tokens").addEventListener("pointerleave", () => point(null));
  $("tokens").addEventListener("keydown", onTokenKey);
}
