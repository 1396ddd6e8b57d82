// ---- Beginning

function fill(select, values) {
  for (const value of values) {
    const option = document.createElement("option");
    option.textContent = value; // which is its value, too
    select.append(option);
  }
}

function sayWhatItIs() {
  write($("model"), about.model);
  document.title = `Attention of ${about.model}`;
  if (about.cut) {
    $("cut").hidden = false;
    $("cut").textContent = `The text is longer; tokens that were cut off: ${about.cut}.`;
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
}

function makeControls() {
  fill($("layer"), layers);
  fill($("head"), [MEAN, ...Array.from({ length: heads }, (_, i) => i + 1)]);
  fill($("view"), VIEWS);
  fill($("part"), PARTS);
  $("part-label").hidden = second === length;
  write($("bare-text"), "leave out ", ...listed(about.frame.map((name) => [isolated(name)])));
  $("layer").addEventListener("change", (event) => change({ layer: Number(event.target.value) }));
  for (const key of ["head", "view", "part"]) {
    $(key).addEventListener("change", (event) => change({ [key]: event.target.value }));
  }
  $("bare").addEventListener("change", (event) => change({ bare: event.target.checked }));
}

sayWhatItIs();
makeControls();
makeTokens();
makeGrid();
window.addEventListener("hashchange", readAddress);
readAddress();
