"""Batches of a stream: by length, full, within the budget."""

from hypothesis import given, settings
from hypothesis import strategies as st

from minibert.engine.rows import batches_by_length
from minibert.tokenizer import Row

lengths = st.lists(st.integers(1, 60), min_size=1, max_size=30)
budgets = st.integers(1, 80)


def batches_of(numbers, tokens):
    """The lengths of the rows in each batch; every row is in one."""
    rows = [Row([1] * number, [0] * number, 0) for number in numbers]
    batches = list(batches_by_length(rows, tokens))
    assert sorted(i for batch in batches for i in batch) == list(range(len(rows)))
    return [[numbers[i] for i in batch] for batch in batches]


@settings(max_examples=100, deadline=None)
@given(lengths, budgets)
def test_batches_keep_to_the_budget_unless_one_row_is_above_it(numbers, tokens):
    for batch in batches_of(numbers, tokens):
        assert sum(batch) <= tokens or len(batch) == 1


@settings(max_examples=100, deadline=None)
@given(lengths, budgets)
def test_batches_have_their_rows_longest_first(numbers, tokens):
    batches = batches_of(numbers, tokens)
    assert all(batch == sorted(batch, reverse=True) for batch in batches)
    longest = [batch[0] for batch in batches]
    assert longest == sorted(longest, reverse=True)


@settings(max_examples=100, deadline=None)
@given(lengths, budgets)
def test_batches_are_full_as_long_as_there_are_rows_to_fill_them(numbers, tokens):
    batches = batches_of(numbers + [1] * tokens * len(numbers), tokens)
    assert all(sum(batch) == tokens or batch[0] > tokens for batch in batches[:-1])


@settings(max_examples=100, deadline=None)
@given(lengths, budgets)
def test_no_two_batches_would_fit_into_one(numbers, tokens):
    """What a batch leaves free is less than any row that comes after it."""
    batches = batches_of(numbers, tokens)
    for i, batch in enumerate(batches):
        later = [length for other in batches[i + 1 :] for length in other]
        assert sum(batch) + min(later, default=tokens + 1) > tokens


def test_no_rows_no_batches():
    assert not list(batches_by_length([], 512))
