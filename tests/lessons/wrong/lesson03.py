"""Lesson 3."""

import copy

import torch

from tests.lessons.wrong import Wrong


def zeroed(*tables, rows=slice(None), copied=copy.deepcopy):
    """A copy of the model in which these rows of these tables are zero."""

    def answer(model):
        changed = copied(model)
        with torch.no_grad():
            for table in tables:
                getattr(changed.embeddings, table).weight[rows] = 0
        return changed

    return answer


def original_zeroed(model):
    copied = copy.deepcopy(model)
    zeroed("position", copied=lambda model: model)(model)
    return copied


def times_0(model):
    copied = copy.deepcopy(model)
    copied.embeddings.position.weight * 0  # noqa: B018
    return copied


def mean_rows(model):
    copied = copy.deepcopy(model)
    with torch.no_grad():
        table = copied.embeddings.position.weight
        table.copy_(table.mean(dim=0).expand_as(table))
    return copied


def last_row(model):
    return zeroed("position", rows=slice(-1))(model)


def norm_too(model):
    copied = zeroed("position")(model)
    with torch.no_grad():
        copied.embeddings.norm.bias.add_(1)
    return copied


def no_table(model):
    copied = copy.deepcopy(model)
    copied.embeddings.position = None
    return copied


def the_table(model):
    return torch.zeros_like(model.embeddings.position.weight)


def long(measure=lambda table: table.norm(dim=1), typical=torch.median, times=1.25, first=0):
    """Where a measure of the rows is more than so many times what is typical."""

    def answer(table):
        measured = measure(table)
        return [first + i for i, size in enumerate(measured) if size > times * typical(measured)]

    return answer


def short(table):
    lengths = table.norm(dim=1)
    return [i for i, length in enumerate(lengths) if length < lengths.median() / 1.25]


def not_longer(table):
    lengths = table.norm(dim=1)
    return (lengths < 1.25 * lengths.median()).nonzero()


def yes_or_no(table):
    lengths = table.norm(dim=1)
    return lengths > 1.25 * lengths.median()


PRINTED = [
    r"the same: True",
    r"0, 1, 2, \.\.\. +the two \[CLS\] differ by 0\.17\d+ of",
    r"all at 5 +the two \[CLS\] differ by 0\.00000\d\d of",
    r"0, 1, 2, \.\.\. +0\.999\d +0\.0000",
    r"backwards +0\.0000 +0\.99\d\d",
    r"\[ 0\.841  0\.54   0\.01   1\.   \]",
    r"511 +0\.97\n510 +0\.86\n127 +0\.69",
    r"126 and 127: 0\.44\n127 and 128: 0\.55",
    r"31: \d\.\d\d times the median",
    r"ValueError: the batch is 513 tokens long",
]
WRONG = {
    "without_positions": [
        Wrong("in place", zeroed("position", copied=lambda model: model), "now it is changed"),
        Wrong("the model itself", lambda model: model, "that you were given, as it was"),
        Wrong("a shallow copy", zeroed("position", copied=copy.copy), "share their tables"),
        Wrong("the original in place of the copy", original_zeroed, "the other way round"),
        Wrong("a copy as it is", copy.deepcopy, "its position table is as before"),
        Wrong("a product that nobody keeps", times_0, "its position table is as before"),
        Wrong("row 0 only", zeroed("position", rows=0), "only the first row"),
        Wrong("all rows but 0", zeroed("position", rows=slice(1, None)), "position 0 is left"),
        Wrong("all rows but the last", last_row, "is not zero everywhere"),
        Wrong("column 0 only", zeroed("position", rows=(slice(None), 0)), "is a column"),
        Wrong(
            "segments in place of positions", zeroed("segment"), "the segment table is zero, and"
        ),
        Wrong("tokens in place of positions", zeroed("token"), "the token table is zero, and"),
        Wrong("segments, too", zeroed("position", "segment"), "the segment table is zero, too"),
        Wrong("tokens, too", zeroed("position", "token"), "the token table is zero, too"),
        Wrong("all three tables", zeroed("token", "position", "segment"), "all three tables"),
        Wrong("LayerNorm, too", norm_too, "more has changed"),
        Wrong("every row the mean", mean_rows, "all its rows seem to be the same"),
        Wrong("no table", no_table, "cannot read a text"),
        Wrong("the table alone", the_table, "has the type Tensor"),
    ],
    "odd_positions": [
        Wrong("numbered from 1", long(first=1), "numbered from 1"),
        Wrong("the longest only", lambda table: [table.norm(dim=1).argmax()], "the longest only"),
        Wrong("the shortest", short, "these are the shortest"),
        Wrong("those that are not longer", not_longer, "these are all the others"),
        Wrong("the mean in place of the median", long(typical=torch.mean), "hides others"),
        Wrong("longer than the median", long(times=1), "more than 1.25 times"),
        Wrong("no root", long(lambda table: table.square().sum(dim=1)), "is the root missing"),
        Wrong("sums", long(lambda table: table.abs().sum(dim=1)), "has a large sum"),
        Wrong("largest numbers", long(lambda table: table.abs().amax(dim=1)), "one large number"),
        Wrong("columns", long(lambda table: table.norm(dim=0)), "these are columns"),
        Wrong("minilm-l6's", lambda table: [0, 127, 510, 511], "this is right of minilm-l6"),
        Wrong("yes or no", yes_or_no, "whether it is odd"),
        Wrong("the four longest", lambda table: table.norm(dim=1).topk(4).indices, "4 of the 5"),
        Wrong(
            "the made-up table's",
            lambda table: [0, 9, 10, 26, 39],
            "but in minilm-l6's",
        ),
    ],
}
