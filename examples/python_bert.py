"""Make `python-bert`, the small masked language model that comes with minibert.

    python examples/python_bert.py                    # to output/python-bert, in some four minutes
    python examples/python_bert.py --steps 50         # a try

It learns from the language reference that comes with Python (`help("calls")` shows a part of it),
as any text is learned from by pretrain.py: 2,500 steps, 692,690 weights. They are written in fp16,
1.4 MB, so that lessons and tests have a real head without a download. Its folder opens as
BertForMaskedLM, FillMask, BertModel, and in transformers.

The text differs a little from one version of Python to the next, and so does the model. The one
that comes with minibert was made once, and its SHA-256 stands in minibert/checkpoint/hub.py.
"""

import argparse
import json
import platform
import tempfile
from collections.abc import Iterator
from pathlib import Path

# First, so that Ctrl-C while it imports PyTorch ends this in silence.
import minibert  # isort: skip
import pretrain
import torch
from safetensors.torch import load_file, save_file

from minibert._programs import run_program
from minibert.checkpoint.files import CONFIG, SAFETENSORS, TOKENIZER_FILES, sha256
from minibert.checkpoint.folders import check_new_folder, new_model_folder
from minibert.corpus.python_reference import python_reference, write_python_reference
from minibert.training.history import Evaluation, History
from minibert.training.ranks import torchrun_ranks

SETTINGS = ["--vocabulary-size", "2000", "--hidden", "128", "--max-length", "32", "--lr", "2e-3"]
PROMPTS = [
    "The arguments [MASK] evaluated from left to right.",
    "The argument [MASK] evaluated first.",
    "This method should [MASK] the result.",
]
LOG = "log.jsonl"

CARD = """---
language: en
license: psf-2.0
library_name: transformers
pipeline_tag: fill-mask
tags:
- bert
- minibert
---

# python-bert

A very small BERT, {weights:,} weights in fp16, that guesses masked words of texts about Python. It
comes with minibert, so that lessons, examples and tests have a real masked language model without a
download.

It knows some grammar of English technical prose, and the words of one book. It knows nothing of the
world, and cuts most words of other texts into pieces. It is for learning and testing; nobody should
decide anything by it.

## Data

The prose of the language reference of Python {python}, as it comes with Python in
`pydoc_data.topics`: {words:,} words in {sections} sections, without code and grammars. One section
in 20 was held out.

The reference is licensed under the PSF License Version 2, which allows derived works that keep its
notice: Copyright (c) 2001 Python Software Foundation; All Rights Reserved. What was made of it: a
vocabulary of its words and pieces, and weights. minibert's own code is under Apache 2.0.

## Training

`python examples/python_bert.py --steps {steps}` with torch {torch}: masked words and next sentences
(Devlin et al. 2019, section 3.1), batches of 64 rows of at most 32 tokens, AdamW, learning rate
2e-3 with a warm-up of a tenth and linear decay, no dropout.

| held-out text, masked tokens | cross-entropy (nats) | accuracy |
|---|---|---|
{results}

`{log}` has what was measured on the way.
{fills}
"""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--steps", type=int, default=2500, help="steps of the optimizer")
    parser.add_argument("--output", default="output/python-bert", help="new folder for the model")
    parser.add_argument("--overwrite", action="store_true", help="replace the model folder there")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    check_new_folder(arguments.output, arguments.overwrite)
    with tempfile.TemporaryDirectory() as work:
        text, trained = Path(work) / "python.txt", Path(work) / "model"
        write_python_reference(text)
        settings = ["--text", str(text), "--steps", str(arguments.steps), *SETTINGS]
        with torchrun_ranks() as ranks:
            history, unigram = pretrain.main(ranks, [*settings, "--output", str(trained)])
        with new_model_folder(arguments.output, arguments.overwrite) as unfinished:
            for name in (CONFIG, *TOKENIZER_FILES):
                if (trained / name).is_file():
                    (unfinished / name).write_bytes((trained / name).read_bytes())
            weights = {k: v.half() for k, v in load_file(trained / SAFETENSORS).items()}
            save_file(weights, unfinished / SAFETENSORS, {"format": "pt"})
            (unfinished / LOG).write_text("".join(log_of(history, unigram)), "utf-8")
            card = card_of(unfinished, arguments.steps, history, unigram)
            (unfinished / "README.md").write_text(card, "utf-8")
    output = Path(arguments.output)
    print(f"{output / SAFETENSORS}: SHA-256 {sha256(output / SAFETENSORS)}")


def log_of(history: History, unigram: Evaluation) -> Iterator[str]:
    """A JSON object a line: the unigram baseline, and each evaluation."""
    baseline = {"unigram": {"loss": unigram.loss, "accuracy": unigram.accuracy}}
    yield f"{json.dumps(baseline)}\n"
    for each in history.evaluations:
        line = {"step": each.step, "loss": each.loss, "accuracy": each.accuracy}
        yield f"{json.dumps(line)}\n"


def card_of(folder: Path, steps: int, history: History, unigram: Evaluation) -> str:
    """The README.md of the model in this folder."""
    first, last = history.evaluations[0], history.evaluations[-1]
    results = {"before training": first, "frequency of each token alone": unigram, "after": last}
    sections = python_reference()
    model = minibert.BertForPreTraining.from_pretrained(folder)
    return CARD.format(
        weights=sum(parameter.numel() for parameter in model.parameters()),
        python=platform.python_version(),
        words=sum(len(paragraph.split()) for section in sections for paragraph in section),
        sections=len(sections),
        steps=steps,
        torch=torch.__version__.partition("+")[0],
        results="\n".join(
            f"| {name} | {each.loss:.2f} | {each.accuracy:.1%} |" for name, each in results.items()
        ),
        log=LOG,
        fills=fills_of(folder),
    )


def fills_of(folder: Path) -> str:
    """What the model puts into some texts, as a table."""
    lines = ["\n| text | its three likeliest words |", "|---|---|"]
    fill = minibert.FillMask.load(folder)
    for text, (found,) in zip(PROMPTS, fill.predict(PROMPTS, top_k=3), strict=True):
        answers = ", ".join(f"{each.token} {each.score:.2f}" for each in found)
        lines.append(f"| {text} | {answers} |")
    return "\n".join(lines)


if __name__ == "__main__":
    run_program(main)
