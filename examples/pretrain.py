"""Pre-train a small BERT from nothing but text, or any masked language model further on a text.

    python examples/pretrain.py --text wikitext-2/valid.txt wikitext-2/test.txt SST-2/train.tsv
    python examples/pretrain.py --text book.txt --whole-word --steps 20000 --output output/book
    python examples/pretrain.py --model roberta-base --text tickets.csv --output output/tickets
    torchrun --nproc-per-node 2 examples/pretrain.py --text book.txt      # one process a GPU

A text is a UTF-8 file with documents between blank lines; of a .tsv or .csv each row's text is a
document. The marks of WikiText (` @-@ `, `<unk>`, ` = Title = `) are understood. A vocabulary is
learned first, from all of it. One document in 20 is held out, and its masked tokens are guessed now
and then; the figures stand beside those of a model that knows how frequent each token is and
nothing else.

With --model nothing is new: a BERT, RoBERTa, DistilBERT, ALBERT, ... that was trained to guess
masked tokens goes on doing so, with its own vocabulary, on a text of the kind that it will read
later (Gururangan et al. 2020, arXiv 2004.10964, "Don't Stop Pretraining"). Rows are then no pairs,
and next sentence prediction is left out, in BERT as well; so its pooler is not kept.

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
from functools import partial
from pathlib import Path

# First, so that Ctrl-C while it imports PyTorch ends this in silence.
import minibert  # isort: skip
import torch

from minibert._programs import LogToOutput, run_program
from minibert.checkpoint.folders import check_new_folder, new_model_folder
from minibert.corpus.rows import Rows
from minibert.corpus.spans import SHORTEST, make_spans, open_spans
from minibert.corpus.starting import FromModel, FromNothing, Start
from minibert.corpus.store import Corpus
from minibert.corpus.task import HeldOut, count_tokens
from minibert.corpus.text import TextFile
from minibert.corpus.vocabulary import SMALLEST_VOCABULARY
from minibert.engine.streams import find_device
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
# What describes a new model, by its defaults; --model brings all of it.
NEW = {"layers": 2, "hidden": 192, "heads": None, "dropout": 0.0, "vocabulary_size": 8000}
LR, LR_OF_MODEL = 1e-3, 5e-5


def parse_arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--text", nargs="+", required=True, help="text files, or tables with a column of texts"
    )
    parser.add_argument("--steps", type=int, default=5000, help="steps of the optimizer")
    parser.add_argument("--batch-size", type=int, default=64, help="rows a step")
    rates = f"highest learning rate; by default {LR}, with --model {LR_OF_MODEL}"
    parser.add_argument("--lr", type=float, default=argparse.SUPPRESS, help=rates)
    parser.add_argument("--max-length", type=int, default=64, help="tokens a row has at most")
    parser.add_argument("--whole-word", action="store_true", help="mask whole words")
    parser.add_argument("--model", help="folder or name of a masked LM that is to learn further")
    parser.add_argument("--seed", type=int, default=0, help="of weights, rows, masking, dropout")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    parser.add_argument("--save-every", type=int, default=500, help="steps from state to state")
    parser.add_argument("--output", default="output/pretrained", help="new folder for the model")
    parser.add_argument("--overwrite", action="store_true", help="replace the model folder there")
    parser.add_argument("--device", help="cpu, cuda, mps; by default cuda where there is one")
    new = parser.add_argument_group("a new model", argument_default=argparse.SUPPRESS)
    new.add_argument("--layers", type=int, help=f"by default {NEW['layers']}")
    new.add_argument("--hidden", type=int, help=f"its width; by default {NEW['hidden']}")
    new.add_argument("--heads", type=int, help="of attention; by default one for 64 numbers")
    new.add_argument("--dropout", type=float, help="while pre-training; by default none")
    size = f"tokens, at most; by default {NEW['vocabulary_size']}"
    new.add_argument("--vocabulary-size", type=int, help=size)
    arguments = parser.parse_args(given)
    if arguments.model is None:
        defaults = {**NEW, "lr": LR}
    else:
        defaults = {"lr": LR_OF_MODEL}
        if refused := [option(name) for name in NEW if name in arguments]:
            raise ValueError(f"--model brings its own shape; leave out {', '.join(refused)}")
    return argparse.Namespace(**{**defaults, **vars(arguments)})


def main(ranks: Ranks, given: Sequence[str] | None = None) -> tuple[History, Evaluation]:
    """Pre-train as these arguments say, None: those of the command line. What happened, and the
    unigram baseline."""
    arguments = parse_arguments(given)
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
    start = make_start(arguments)  # refuses what does not fit, before anything is read
    texts = [TextFile.at(path) for path in arguments.text]
    with held_run_folder(arguments.output, ranks.rank) as states:
        return train_and_save(arguments, recipe, start, texts, device, states, output, ranks)


def train_and_save(
    arguments: argparse.Namespace,
    recipe: Recipe,
    start: Start,
    texts: Sequence[TextFile],
    device: torch.device,
    states: Path,
    output: Path,
    ranks: Ranks,
) -> tuple[History, Evaluation]:
    """The run itself, with its corpus and states in a folder of its own; the first of several
    processes saves and reports."""
    first = ranks.rank == 0
    made = states / start.corpus
    if first:
        prepare_run_folder(states, arguments.resume)
        prepare_corpus(texts, made, start, arguments)
    ranks.wait_for_first()
    tokenizer = start.tokenizer(made)
    corpus = Corpus(made)

    training, held_out = open_spans(corpus, arguments.max_length, start.next_sentence)
    settings = (tokenizer, arguments.max_length, arguments.whole_word, start.next_sentence)
    rows = Rows(corpus, training, *settings)
    task = start.task(rows, arguments.steps, arguments.batch_size, arguments.seed)
    task.settings |= start.settings
    evaluation = HeldOut(Rows(corpus, held_out, *settings))
    vocabulary_size = tokenizer.vocabulary.size
    unigram = evaluation.unigram(count_tokens(corpus, training, vocabulary_size))
    print(
        f"corpus: {corpus.number_of_documents} documents, {corpus.number_of_sentences} sentences, "
        f"{len(corpus.tokens)} tokens of a vocabulary of {vocabulary_size}"
    )
    pairs = f", {training.pairs} of them pairs" if start.next_sentence else ""
    print(
        f"rows: {len(training)} for training{pairs}, each taken {task.passes:.2f} times; "
        f"{len(evaluation.examples)} held out, with {len(evaluation.targets)} tokens to guess"
    )
    print(f"unigram baseline: {figures(unigram)}")

    torch.manual_seed(arguments.seed)
    model = start.model(tokenizer).to(device)
    print(
        f"pre-training {sum(p.numel() for p in model.parameters()):,} weights: "
        f"{model.config.num_hidden_layers} layers, {model.config.hidden_size} wide",
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
        return history, unigram
    with told_of_states(states):
        tokenizer = start.finish(model, tokenizer)
        with new_model_folder(output, arguments.overwrite) as unfinished:
            model.write_files(unfinished)
            tokenizer.write_files(unfinished)
    print(f"model saved to {arguments.output}")
    draw = partial(
        plot_history,
        history,
        unigram.accuracy,
        training="training, masked tokens" + " + next sentence" * start.next_sentence,
        evaluated="held out, masked tokens",
        baseline="unigram baseline",
    )
    print(add_to_model(output, states / LOG, draw))
    remove_run(states, "corpus-*")
    return history, unigram


def check(arguments: argparse.Namespace) -> None:
    """Raise `ValueError` for a setting that would be found out late; `Recipe` checks its own."""
    ranges = {
        "steps": (1, 10**9),
        "save_every": (1, 10**9),
        "batch_size": (1, 10**5),
        "max_length": (SHORTEST, 10**5),
    }
    if arguments.model is None:
        ranges["vocabulary_size"] = (SMALLEST_VOCABULARY, 10**6)
    for name, (lowest, highest) in ranges.items():
        value = getattr(arguments, name)
        if not lowest <= value <= highest:
            raise ValueError(f"{option(name)} is {value}; it must be {lowest} to {highest}")


def option(name: str) -> str:
    return "--" + name.replace("_", "-")


def make_start(arguments: argparse.Namespace) -> Start:
    """The model given, or a new one of the shape asked for."""
    if arguments.model is not None:
        return FromModel(arguments.model, arguments.max_length)
    heads = arguments.heads
    config = minibert.BertConfig(
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
    return FromNothing(config, arguments.vocabulary_size)


def prepare_corpus(
    texts: Sequence[TextFile], folder: Path, start: Start, arguments: argparse.Namespace
) -> None:
    """Write the corpus, the table of its rows and its tokenizer; those of a run that is resumed are
    kept, if it got that far."""
    if arguments.resume and (folder / "corpus.json").is_file():
        corpus = Corpus(folder)
        corpus.check_made_from(texts, start.tokenizer(folder))
    else:
        learned = "" if arguments.model else "learning the vocabulary and "
        print(f"{learned}reading the texts", flush=True)
        start.learn(texts, folder)
        corpus = Corpus.build(texts, start.tokenizer(folder), folder)
    make_spans(corpus, arguments.max_length, start.next_sentence)


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


def run() -> None:
    with torchrun_ranks() as ranks:
        main(ranks)


if __name__ == "__main__":
    rank = os.environ.get("RANK")  # several processes may fail, each for its own reason
    run_program(run, where=f" in rank {rank}" if rank else "")
