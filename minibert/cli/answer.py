"""`minibert answer`: the part of each text that answers a question."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from minibert.checkpoint.arguments import whole_number
from minibert.cli.answers import Answer, add_answers, answers_to, check_output, line_of
from minibert.cli.command import Command, add_machine, add_model
from minibert.cli.sources import add_source, open_source
from minibert.engine.reading import Arriving
from minibert.tasks import spans
from minibert.tasks.question_answerer import QuestionAnswerer
from minibert.text.inputs import Text

_COLUMNS = ("answer", "score", "start", "end")


class Asked(Arriving[tuple[str, str]]):
    """Each context with the question, as soon as it is there."""

    def __init__(self, question: str, contexts: Iterable[Text]) -> None:
        self._question = question
        self._contexts = iter(contexts)

    def ready(self) -> bool:
        return not isinstance(self._contexts, Arriving) or self._contexts.ready()

    def __next__(self) -> tuple[str, str]:
        return self._question, next(self._contexts)  # type: ignore[return-value]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_source(parser, pairs=False)
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("--question", help="what is asked of each text")
    asked.add_argument(
        "--question-column", dest="pair", metavar="COLUMN", help="the table's column of questions"
    )
    add = parser.add_argument
    add("--top-k", type=int, default=1, metavar="K", help="how many answers a text (default: 1)")
    add("--no-answer", action="store_true", help="an answer may be that there is none")
    add_answers(parser)
    add_machine(parser)


def _run(arguments: argparse.Namespace) -> None:
    check_output(arguments)
    top_k = whole_number("--top-k", arguments.top_k, 1)
    if arguments.pair is not None and arguments.data is None:
        raise ValueError("--question-column is for a table; give one with --data")
    source = open_source(arguments)
    task = QuestionAnswerer.load(
        arguments.model, precision=arguments.precision, device=arguments.device
    )
    pairs: Iterable[tuple[str, str]]
    if arguments.question is not None:
        pairs = Asked(arguments.question, source.texts)
    else:  # of a table, where the question is the second text
        pairs = [(pair[1], pair[0]) for pair in source.texts]
    with answers_to(arguments, source, _COLUMNS) as answers:
        for (_, context), found in task.stream(pairs, top_k, arguments.no_answer):
            answers.write(context, _answer(context, [found] if top_k == 1 else found))


def _answer(context: str, found: list[spans.Answer]) -> Answer:
    """The best first."""
    rows = [
        {
            "answer": each.text,
            "score": round(each.score, 6),
            "start": each.start,
            "end": each.end,
        }
        for each in found
    ]
    return Answer(
        lines=[line_of(each.text, f"{each.score:.4f}", text=context) for each in found],
        data={"answers": rows},
        rows=rows,
    )


COMMAND = Command(
    name="answer",
    about="the part of each text that answers a question",
    add_arguments=_add_arguments,
    run=_run,
    examples=[
        'minibert answer output/answers --question "Who came?" "A man came to the door."',
        'minibert answer output/answers --question "What broke?" --data tickets.csv --text body '
        "-o broken.csv",
        "minibert answer output/answers --data questions.csv --question-column question "
        "--text context --top-k 2 --json",
    ],
    more=(
        "Each answer is a line: answer, score, text; an answer that there is none is empty. Long "
        "texts are read in windows. Each line of a file or of standard input is a text of its own."
    ),
)
