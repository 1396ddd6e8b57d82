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
      button.title = `layer ${layer}, head ${head}`;
      button.setAttribute("aria-label", button.title);
      const canvas = document.createElement("canvas");
      canvas.width = canvas.height = about.side;
      canvas.classList.toggle("few", about.side <= 24);
      button.append(canvas);
      button.addEventListener("click", () => change({ layer, head: String(head) }));
      grid.append(button);
      squares.push({ layer, head: String(head), button });
    }
  }
  grid.addEventListener("keydown", onGridKey);
  const paint = () => paintGrid().catch(trouble);
  paint();
  for (const query of ["(prefers-color-scheme: dark)", "(forced-colors: active)"]) {
    matchMedia(query).addEventListener("change", paint);
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
