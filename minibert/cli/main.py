"""The `minibert` command: look at a model, tokenize lines, classify lines, say the versions."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from minibert._command import interrupts_are_errors
from minibert.cli.lines import (
    answers_at_once,
    give_up_output,
    prepare_output,
    read_lines,
    write_line,
)
from minibert.golden import environment
from minibert.model import BertModel
from minibert.tasks.text_classifier import TextClassifier
from minibert.tokenizer import WordPieceTokenizer

# What a shell reports of a program that a signal has ended: 128 and the signal's number.
_INTERRUPTED, _BROKEN_PIPE = 130, 141
# A label is a field of a line; what would end either is written as TSV files have it.
_IN_A_FIELD = str.maketrans({"\t": "\\t", "\n": "\\n", "\r": "\\r"})


def main() -> None:
    """Run the command. A user's mistake is one line on stderr and exit code 2; Ctrl-C, and a reader
    of the output that goes away, as `head` does, end it in silence."""
    interrupts_are_errors()
    try:
        with _plain_warnings():
            _run(_parse_arguments())
    except BrokenPipeError:
        give_up_output()
        sys.exit(_BROKEN_PIPE)
    except (ValueError, OSError, Warning) as error:  # a warning: under `-W error`
        give_up_output()
        print(f"minibert: error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:  # how a session at a terminal usually ends
        give_up_output()
        sys.exit(_INTERRUPTED)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="minibert", description="BERT from scratch.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, run, about in (
        ("info", _info, "print a model's shape, parameter counts and memory"),
        ("tokenize", _tokenize, "print the tokens of each line of standard input"),
        ("classify", _classify, "print label, score and text of each line of standard input"),
    ):
        command = commands.add_parser(name, help=about, description=about)
        command.add_argument("model", help="a folder, an alias (minilm-l6) or a hub name")
        command.set_defaults(run=run)
    about = "print versions and machine, for reports"
    commands.add_parser("version", help=about, description=about).set_defaults(run=_version)
    return parser.parse_args()


def _run(arguments: argparse.Namespace) -> None:
    prepare_output()
    if arguments.run is _version:
        _version()
    else:
        arguments.run(arguments.model)


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Inside, a warning is a line for the user of a command, without the place in the code."""

    def line(message: Warning | str, *_: Any, **__: Any) -> str:
        return f"minibert: warning: {message}\n"

    usual = warnings.formatwarning
    warnings.formatwarning = line
    try:
        yield
    finally:
        warnings.formatwarning = usual


def _version() -> None:
    write_line(environment())


def _info(name: str) -> None:
    model = BertModel.from_pretrained(name)
    config = model.config
    write_line(str(model.load_report))
    write_line(
        f"{config.num_hidden_layers} layers, {config.hidden_size} wide, "
        f"{config.num_attention_heads} heads of {config.head_size}, "
        f"vocabulary {config.vocab_size}, rows up to {config.max_position_embeddings} tokens"
    )
    total = 0
    for part, module in model.named_children():
        count = sum(parameter.numel() for parameter in module.parameters())
        total += count
        write_line(f"{part:>12} {count:>13,} parameters {count * 4 / 1e6:>8.1f} MB")
    write_line(f"{'total':>12} {total:>13,} parameters {total * 4 / 1e6:>8.1f} MB in fp32")


def _tokenize(name: str) -> None:
    tokenizer = WordPieceTokenizer.from_pretrained(name)
    for line in read_lines():
        write_line(" ".join(tokenizer.tokenize(line)))


def _classify(name: str) -> None:
    classifier = TextClassifier.load(name)
    window = 1 if answers_at_once() else None
    for text, scores in classifier.stream(read_lines(), window):
        label = str(classifier.classes_[scores.argmax()]).translate(_IN_A_FIELD)
        write_line(f"{label}\t{scores.max():.4f}\t{text}")
