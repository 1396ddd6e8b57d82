"""Pre-train a small BERT from nothing but text, and see whether it learned more than frequencies.

    python examples/pretrain.py --text wikitext-2/valid.txt wikitext-2/test.txt SST-2/train.tsv
    python examples/pretrain.py --text book.txt --whole-word --steps 20000 --output output/book
    torchrun --nproc-per-node 2 examples/pretrain.py --text book.txt      # one process a GPU

A text is a UTF-8 file with documents between blank lines; of a .tsv or .csv each row's text is a
document. The marks of WikiText (` @-@ `, `<unk>`, ` = Title = `) are understood. A vocabulary is
learned first, from all of it. One document in 20 is held out, and its masked tokens are guessed now
and then; the figures stand beside those of a model that knows how frequent each token is and
nothing else.

A run keeps its state and its corpus in `<output>.run`: after a crash, Ctrl-C or SIGTERM the same
command with `--resume` goes on, and ends as if nothing had happened. A second program with the same
--output is refused while the first one runs. What is saved opens as
BertModel, BertForMaskedLM, TextClassifier(model=...) and in transformers; whether it is of use,
`examples/compare_pretrained.py` tells.

Under torchrun a batch is shared among the processes, and the first of them reads the texts while
the others wait, an hour at most; on several machines `<output>.run` must be on a disk that all
read. A process that fails ends all; `--resume` with as many goes on. On CPUs set OMP_NUM_THREADS to
the cores of each; torchrun takes 1.

Needs `pip install -e '.[viz]'` in the checkout for the plot.
"""

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

# First, so that Ctrl-C while it imports PyTorch ends this in silence.
import minibert  # isort: skip
import torch

from minibert._programs import LogToOutput, run_program
from minibert.checkpoint.folders import check_new_folder, new_model_folder
from minibert.corpus.rows import Rows
from minibert.corpus.spans import SHORTEST, make_spans, open_spans
from minibert.corpus.store import Corpus
from minibert.corpus.task import HeldOut, PreTraining, count_tokens
from minibert.corpus.text import TextFile
from minibert.corpus.vocabulary import SMALLEST_VOCABULARY, train_vocabulary
from minibert.engine.streams import find_device
from minibert.tokenizer import WordPieceTokenizer
from minibert.training.history import Evaluation, History
from minibert.training.loop import train
from minibert.training.ranks import Ranks, torchrun_ranks
from minibert.training.recipe import Recipe
from minibert.training.report import add_to_model, plot_history
from minibert.training.state import (
    LOG,
    held_run_folder,
    prepare_run_folder,
    remove_run,
    told_of_states,
)

EVALUATIONS = 10  # in a run


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--text", nargs="+", required=True, help="text files, .tsv or .csv")
    parser.add_argument("--steps", type=int, default=5000, help="steps of the optimizer")
    parser.add_argument("--batch-size", type=int, default=64, help="rows a step")
    parser.add_argument("--lr", type=float, default=1e-3, help="highest learning rate")
    parser.add_argument("--max-length", type=int, default=64, help="tokens a row has at most")
    parser.add_argument("--whole-word", action="store_true", help="mask whole words")
    parser.add_argument("--layers", type=int, default=2, help="of the model")
    parser.add_argument("--hidden", type=int, default=192, help="width of the model")
    parser.add_argument("--heads", type=int, help="attention heads; by default one for 64 numbers")
    parser.add_argument("--dropout", type=float, default=0.0, help="while pre-training")
    parser.add_argument("--vocabulary-size", type=int, default=8000, help="tokens, at most")
    parser.add_argument("--seed", type=int, default=0, help="of weights, rows, masking, dropout")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    parser.add_argument("--save-every", type=int, default=500, help="steps from state to state")
    parser.add_argument("--output", default="output/pretrained", help="new folder for the model")
    parser.add_argument("--overwrite", action="store_true", help="replace the model folder there")
    parser.add_argument("--device", help="cpu, cuda, mps; by default cuda where there is one")
    return parser.parse_args()


def main(ranks: Ranks) -> None:
    arguments = parse_arguments()
    first = ranks.rank == 0
    # Of several processes one does the talking.
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[LogToOutput()])
    logging.getLogger("minibert").setLevel(logging.INFO if first else logging.ERROR)
    if not first:
        sys.stdout = open(os.devnull, "w")
        warnings.simplefilter("ignore")
    check(arguments)
    recipe = Recipe(
        epochs=1,  # of the task, which is as long as --steps says
        lr=arguments.lr,
        warmup=0.1,
        precision=arguments.precision,
        seed=arguments.seed,
        evaluate_every=max(1, arguments.steps // EVALUATIONS),
    )
    output = check_new_folder(arguments.output, arguments.overwrite)
    device = find_device(arguments.device)
    config = make_config(arguments)  # refuses sizes that do not fit, before anything is read
    texts = [TextFile.at(path) for path in arguments.text]
    with held_run_folder(arguments.output, ranks.rank) as states:
        train_and_save(arguments, recipe, config, texts, device, states, output, ranks)


def train_and_save(
    arguments: argparse.Namespace,
    recipe: Recipe,
    config: minibert.BertConfig,
    texts: Sequence[TextFile],
    device: torch.device,
    states: Path,
    output: Path,
    ranks: Ranks,
) -> None:
    """The run itself, with its corpus and states in a folder of its own; the first of several
    processes saves and reports."""
    first = ranks.rank == 0
    made = states / f"corpus-{arguments.vocabulary_size}"
    if first:
        prepare_run_folder(states, arguments.resume)
        prepare_corpus(texts, made, arguments)
    ranks.wait_for_first()
    tokenizer = WordPieceTokenizer.from_pretrained(made / "tokenizer")
    corpus = Corpus(made)
    config = replace(config, vocab_size=tokenizer.vocabulary.size)

    training, held_out = open_spans(corpus, arguments.max_length)
    settings = (tokenizer, arguments.max_length, arguments.whole_word)
    rows = Rows(corpus, training, *settings)
    task = PreTraining(rows, arguments.steps, arguments.batch_size, arguments.seed)
    task.settings["vocabulary_size"] = arguments.vocabulary_size
    evaluation = HeldOut(Rows(corpus, held_out, *settings))
    unigram = evaluation.unigram(count_tokens(corpus, training, config.vocab_size))
    print(
        f"corpus: {corpus.number_of_documents} documents, {corpus.number_of_sentences} sentences, "
        f"{len(corpus.tokens)} tokens of a vocabulary of {config.vocab_size}"
    )
    print(
        f"rows: {len(training)} for training, {training.pairs} of them pairs, each taken "
        f"{task.passes:.2f} times; {len(evaluation.examples)} held out, with "
        f"{len(evaluation.targets)} tokens to guess"
    )
    print(f"unigram baseline: {figures(unigram)}")

    torch.manual_seed(arguments.seed)
    model = minibert.BertForPreTraining(config).to(device)
    print(
        f"pre-training {sum(p.numel() for p in model.parameters()):,} weights: "
        f"{config.num_hidden_layers} layers, {config.hidden_size} wide",
        flush=True,
    )
    history = train(
        model,
        task,
        recipe,
        lambda step: evaluation.evaluate(model, step),
        folder=states,
        resume=arguments.resume,
        save_every=arguments.save_every,
    )
    report(history, unigram)
    if not first:
        return
    with told_of_states(states):
        save(model, tokenizer, output, arguments)
    print(f"model saved to {arguments.output}")
    draw = partial(
        plot_history,
        history,
        unigram.accuracy,
        training="training, masked tokens + next sentence",
        evaluated="held out, masked tokens",
        baseline="unigram baseline",
    )
    print(add_to_model(output, states / LOG, draw))
    remove_run(states, "corpus-*")


def check(arguments: argparse.Namespace) -> None:
    """Raise `ValueError` for a setting that would be found out late; `Recipe` checks its own."""
    ranges = {
        "steps": (1, 10**9),
        "save_every": (1, 10**9),
        "batch_size": (1, 10**5),
        "max_length": (SHORTEST, 10**5),
        "vocabulary_size": (SMALLEST_VOCABULARY, 10**6),
    }
    for name, (lowest, highest) in ranges.items():
        value = getattr(arguments, name)
        if not lowest <= value <= highest:
            option = "--" + name.replace("_", "-")
            raise ValueError(f"{option} is {value}; it must be {lowest} to {highest}")


def make_config(arguments: argparse.Namespace) -> minibert.BertConfig:
    """The shape of the model; the size of the vocabulary is known only when it was learned."""
    heads = arguments.heads
    return minibert.BertConfig(
        hidden_size=arguments.hidden,
        num_hidden_layers=arguments.layers,
        num_attention_heads=max(1, arguments.hidden // 64) if heads is None else heads,
        intermediate_size=4 * arguments.hidden,
        # Rows of one pass over a small corpus hardly repeat, and a small model has no numbers to
        # spare (Geiping & Goldstein 2022, arXiv 2212.14034, section 4.3).
        hidden_dropout_prob=arguments.dropout,
        attention_probs_dropout_prob=arguments.dropout,
        max_position_embeddings=arguments.max_length,
    )


def prepare_corpus(texts: Sequence[TextFile], folder: Path, arguments: argparse.Namespace) -> None:
    """Write the corpus, the table of its rows and its tokenizer; those of a run that is resumed are
    kept, if it got that far."""
    if arguments.resume and (folder / "corpus.json").is_file():
        corpus = Corpus(folder)
        corpus.check_made_from(texts, WordPieceTokenizer.from_pretrained(folder / "tokenizer"))
    else:
        print("learning the vocabulary and reading the texts", flush=True)
        tokenizer = WordPieceTokenizer(train_vocabulary(texts, arguments.vocabulary_size))
        tokenizer.save_pretrained(folder / "tokenizer")
        corpus = Corpus.build(texts, tokenizer, folder)
    make_spans(corpus, arguments.max_length)


def figures(evaluation: Evaluation) -> str:
    return f"masked-token loss {evaluation.loss:.3f} nats, accuracy {evaluation.accuracy:.2%}"


def report(history: History, unigram: Evaluation) -> None:
    print(
        f"trained on {history.examples} rows in {history.seconds:.0f} s: {history.speed:.1f} rows/s"
    )
    last = history.evaluations[-1]
    print(f"held out, before training:  {figures(history.evaluations[0])}")
    print(f"held out, unigram baseline: {figures(unigram)}")
    print(f"held out, after training:   {figures(last)}")
    if last.loss >= unigram.loss:
        print("the model is no better than the baseline; more steps, or another lr")


def save(
    model: minibert.BertForPreTraining,
    tokenizer: WordPieceTokenizer,
    output: Path,
    arguments: argparse.Namespace,
) -> None:
    """Write the model folder, with the dropout that fine-tuning is used to."""
    usual = minibert.BertConfig()
    model.config = replace(
        model.config,
        hidden_dropout_prob=usual.hidden_dropout_prob,
        attention_probs_dropout_prob=usual.attention_probs_dropout_prob,
    )
    with new_model_folder(output, arguments.overwrite) as unfinished:
        model.write_files(unfinished)
        # transformers cuts a text only if the tokenizer says at what length.
        longest = replace(tokenizer.vocabulary, model_max_length=arguments.max_length)
        WordPieceTokenizer(longest).write_files(unfinished)


def run() -> None:
    with torchrun_ranks() as ranks:
        main(ranks)


if __name__ == "__main__":
    rank = os.environ.get("RANK")  # several processes may fail, each for its own reason
    run_program(run, where=f" in rank {rank}" if rank else "")
