"""Make `python-bert`, the small masked language model that comes with minibert.

    python examples/python_bert.py                    # to output/python-bert, in some eight minutes
    python examples/python_bert.py --steps 50         # a try

It learns from the documentation that comes with Python, the language reference and docstrings, as
any text is learned from by pretrain.py: 5,000 steps, 692,690 weights. They are written in fp16,
1.4 MB, so that lessons and tests have a real head without a download. Its folder opens as
BertForMaskedLM, FillMask, BertModel, and in transformers. Beside it stay the text, `<output>.txt`,
and the model as it was trained, `<output>-fp32`, with its log and learning curve. After Ctrl-C or a
crash the same command with `--resume` goes on.

The text differs a little from one version of Python to the next, and so does the model. The one
that comes with minibert was made once, and its SHA-256 stands in minibert/checkpoint/hub.py.
"""

import argparse
import json
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path

# First, so that Ctrl-C while it imports PyTorch ends this in silence.
import minibert  # isort: skip
import pretrain
import torch
from safetensors.torch import load_file

from minibert._programs import run_program
from minibert.checkpoint.files import CONFIG, SAFETENSORS, TOKENIZER_FILES, sha256
from minibert.checkpoint.folders import check_new_folder, new_model_folder, write_weights
from minibert.corpus.python_text import write_python_documentation
from minibert.training.history import Evaluation, History
from minibert.training.ranks import Ranks

SETTINGS = "--vocabulary-size 2000 --hidden 128 --max-length 32 --lr 2e-3"
PROMPTS = [
    "The arguments [MASK] evaluated from left to right.",
    "The argument [MASK] evaluated first.",
    "This method should [MASK] the result.",
]
LOG = "log.jsonl"

CARD = """---
language: en
license: other
license_name: psf-2.0
license_link: https://docs.python.org/3/license.html
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

It knows some grammar of English technical prose, and what manuals of programs speak of: that
"should" wants another verb, and nearly always whether a noun right before the verb is one or many.
Where another noun stands between, it follows the nearer one: "The argument in the lists [MASK]"
becomes "are". It knows nothing of the world, reads lower case, at most 32 tokens, and cuts most
words of other texts into pieces. It is for learning and testing; nobody should decide anything by
it.

## Data

The prose of the documentation that comes with Python {python}, the language reference
(`pydoc_data.topics`) and the docstrings of the standard library: {words:,} words in {paragraphs:,}
paragraphs, each once, without code, grammars and tables. Files with a copyright notice of their
own are left out. One paragraph in 20 was held out; its neighbours, of the same module, were not, so
that a text which is new altogether is harder. Another version of Python has a somewhat different
text, and a model made from it differs, too.

Python and its documentation are under the
[PSF License Version 2](https://docs.python.org/3/license.html), which allows derived works that
keep its notice: Copyright (c) 2001 Python Software Foundation; All Rights Reserved. What was made
of it: a vocabulary of its words and pieces, and weights. minibert's own code is under Apache 2.0.

## Training

    python examples/python_bert.py --steps {steps}

That is `examples/pretrain.py` with

    {settings}

and its other defaults: 2 layers; masked words and next sentences (Devlin et al. 2019, section 3.1);
batches of 64 rows; AdamW, a warm-up of a tenth of the steps, linear decay. It ran in fp32, with
torch {torch}, and the weights were rounded to fp16 at the end; the figures are from before that.

| held-out text, masked tokens | cross-entropy (nats) | accuracy |
|---|---|---|
{results}

They are means over some 700 tokens, with standard errors of about a tenth of a nat and two points.
`{log}` has what was measured on the way, a JSON object a line, the baseline first.

{fills}
"""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--steps", type=int, default=5000, help="steps of the optimizer")
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    parser.add_argument("--output", default="output/python-bert", help="new folder for the model")
    parser.add_argument("--overwrite", action="store_true", help="replace the model folder there")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    output = check_new_folder(arguments.output, arguments.overwrite)
    text, trained = Path(f"{arguments.output}.txt"), f"{arguments.output}-fp32"
    output.parent.mkdir(parents=True, exist_ok=True)
    if not (arguments.resume and text.is_file()):  # whose corpus knows when it was written
        write_python_documentation(text)
    given = ["--text", str(text), "--steps", str(arguments.steps), "--output", trained]
    given += [f"--{name}" for name in ("resume", "overwrite") if getattr(arguments, name)]
    history, unigram = pretrain.main(Ranks(), [*given, *SETTINGS.split()])
    with new_model_folder(output, arguments.overwrite) as unfinished:
        write_halves(Path(trained), unfinished)
        (unfinished / LOG).write_text("".join(log_of(history, unigram)), "utf-8")
        card = card_of(unfinished, text, arguments.steps, history, unigram)
        (unfinished / "README.md").write_text(card, "utf-8")
    print(f"in fp16 to {arguments.output}: {SAFETENSORS} {sha256(output / SAFETENSORS)}")


def write_halves(trained: Path, folder: Path) -> None:
    """A trained model with its tokenizer, in fp16."""
    for name in (CONFIG, *TOKENIZER_FILES):
        if (trained / name).is_file():
            shutil.copyfile(trained / name, folder / name)
    weights = load_file(trained / SAFETENSORS)
    write_weights({name: tensor.half() for name, tensor in weights.items()}, folder)


def log_of(history: History, unigram: Evaluation) -> Iterator[str]:
    """A JSON object a line: the unigram baseline, and each evaluation."""
    baseline = {"unigram": {"loss": unigram.loss, "accuracy": unigram.accuracy}}
    yield f"{json.dumps(baseline)}\n"
    for each in history.evaluations:
        line = {"step": each.step, "loss": each.loss, "accuracy": each.accuracy}
        yield f"{json.dumps(line)}\n"


def card_of(folder: Path, text: Path, steps: int, history: History, unigram: Evaluation) -> str:
    """The README.md of the model in this folder, which learned from this text."""
    first, last = history.evaluations[0], history.evaluations[-1]
    results = {"before training": first, "frequency of each token alone": unigram, "after": last}
    paragraphs = text.read_text("utf-8").strip().split("\n\n")
    model = minibert.BertForPreTraining.from_pretrained(folder)
    return CARD.format(
        weights=sum(parameter.numel() for parameter in model.parameters()),
        python=platform.python_version(),
        words=sum(len(paragraph.split()) for paragraph in paragraphs),
        paragraphs=len(paragraphs),
        steps=steps,
        settings=SETTINGS,
        torch=torch.__version__.partition("+")[0],
        results="\n".join(
            f"| {name} | {each.loss:.2f} | {each.accuracy:.1%} |" for name, each in results.items()
        ),
        log=LOG,
        fills=fills_of(folder),
    )


def fills_of(folder: Path) -> str:
    """What the model puts into some texts, as a table."""
    lines = ["| text | its three likeliest words |", "|---|---|"]
    fill = minibert.FillMask.load(folder)
    for text, (found,) in zip(PROMPTS, fill.predict(PROMPTS, top_k=3), strict=True):
        answers = ", ".join(f"`{each.token}` {each.score:.2f}" for each in found)
        lines.append(f"| {text} | {answers} |")
    return "\n".join(lines)


if __name__ == "__main__":
    run_program(main)
