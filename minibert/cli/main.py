"""The `minibert` command: look at a model, tokenize a line, classify lines, say the versions."""

from __future__ import annotations

import argparse
import sys

from minibert.golden import environment
from minibert.model import BertModel
from minibert.tasks.text_classifier import TextClassifier
from minibert.tokenizer import WordPieceTokenizer


def main() -> None:
    """Run the command; a user's mistake is one line on stderr and exit code 2."""
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
    commands.add_parser("version", help=about, description=about)
    arguments = parser.parse_args()
    if arguments.command == "version":
        print(environment())
        return
    try:
        arguments.run(arguments.model)
    except (ValueError, OSError) as error:
        print(f"minibert: error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:  # how a session at a terminal usually ends
        sys.exit(130)


def _info(name: str) -> None:
    model = BertModel.from_pretrained(name)
    config = model.config
    print(model.load_report)
    print(
        f"{config.num_hidden_layers} layers, {config.hidden_size} wide, "
        f"{config.num_attention_heads} heads of {config.head_size}, "
        f"vocabulary {config.vocab_size}, rows up to {config.max_position_embeddings} tokens"
    )
    total = 0
    for part, module in model.named_children():
        count = sum(parameter.numel() for parameter in module.parameters())
        total += count
        print(f"{part:>12} {count:>13,} parameters {count * 4 / 1e6:>8.1f} MB")
    print(f"{'total':>12} {total:>13,} parameters {total * 4 / 1e6:>8.1f} MB in fp32")


def _tokenize(name: str) -> None:
    tokenizer = WordPieceTokenizer.from_pretrained(name)
    for line in sys.stdin:
        print(" ".join(tokenizer.tokenize(line)))


def _classify(name: str) -> None:
    classifier = TextClassifier.load(name)
    lines = (line.rstrip("\n") for line in sys.stdin)
    window = 1 if sys.stdin.isatty() else None  # whoever types waits for each answer
    for text, scores in classifier.stream(lines, window):
        print(f"{classifier.classes_[scores.argmax()]}\t{scores.max():.4f}\t{text}", flush=True)
