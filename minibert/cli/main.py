"""The `minibert` command: look at a model, tokenize lines, classify lines, say the versions."""

from __future__ import annotations

import argparse

import minibert
from minibert._programs import run_program
from minibert.cli.lines import input_lines, prepare_output, write_line
from minibert.golden import environment
from minibert.model import BertModel
from minibert.tasks.text_classifier import TextClassifier
from minibert.tokenizer import Tokenizer

# A label is a field of a line; what would end either is written as TSV files have it.
_IN_A_FIELD = str.maketrans({"\t": "\\t", "\n": "\\n", "\r": "\\r"})


def main() -> None:
    """Run the command. A user's mistake is one line on stderr and exit code 2; Ctrl-C, and a reader
    of the output that goes away, as `head` does, end it in silence."""
    run_program(_run, "minibert: ")


def _run() -> None:
    arguments = _parse_arguments()
    prepare_output()
    arguments.run(arguments)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="minibert", description="BERT from scratch.")
    parser.add_argument("--version", action="version", version=f"minibert {minibert.__version__}")
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
    command = commands.add_parser("version", help=about, description=about)
    command.set_defaults(run=_version)
    return parser.parse_args()


def _version(_: argparse.Namespace) -> None:
    write_line(environment())


def _info(arguments: argparse.Namespace) -> None:
    model = BertModel.from_pretrained(arguments.model)
    config = model.config
    write_line(str(model.load_report))
    shared = narrow = ""
    if config.layers_with_weights < config.num_hidden_layers:
        shared = f" sharing the weights of {config.layers_with_weights}"
    if config.embedding_width != config.hidden_size:
        narrow = f" (embeddings {config.embedding_width})"
    write_line(
        f"{config.variant.name}: {config.num_hidden_layers} layers{shared}, {config.hidden_size} "
        f"wide{narrow}, {config.num_attention_heads} heads of {config.head_size}, "
        f"vocabulary {config.vocab_size}, rows up to {config.max_length} tokens"
    )
    total = 0
    for part, module in model.named_children():
        count = sum(parameter.numel() for parameter in module.parameters())
        total += count
        write_line(f"{part:>12} {count:>13,} parameters {count * 4 / 1e6:>8.1f} MB")
    write_line(f"{'total':>12} {total:>13,} parameters {total * 4 / 1e6:>8.1f} MB in fp32")


def _tokenize(arguments: argparse.Namespace) -> None:
    lines = input_lines()
    tokenizer = Tokenizer.from_pretrained(arguments.model)
    for text in lines:
        write_line(" ".join(tokenizer.tokenize(text)))


def _classify(arguments: argparse.Namespace) -> None:
    lines = input_lines()
    classifier = TextClassifier.load(arguments.model)
    for text, scores in classifier.stream(lines):
        label = str(classifier.classes_[scores.argmax()]).translate(_IN_A_FIELD)
        write_line(f"{label}\t{scores.max():.4f}\t{text}")
