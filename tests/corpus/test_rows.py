"""Rows of pre-training: pairs of sentences, the task made of them, and what is learned from it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from minibert._checks import IGNORED
from minibert.corpus.rows import Rows
from minibert.corpus.spans import make_spans
from minibert.corpus.store import Corpus
from minibert.corpus.task import HeldOut, PreTraining, count_tokens, generator
from minibert.corpus.text import TextFile
from minibert.training.batches import split
from minibert.training.loop import train
from minibert.training.recipe import Recipe
from tests.corpus.conftest import text_of, tiny_model, unmasked


def test_a_document_of_one_sentence_has_no_pair(tmp_path, tokenizer):
    path = tmp_path / "a.txt"
    path.write_text(text_of(25) + "\nThe lone horse likes tea.\n", encoding="utf-8")
    corpus = Corpus.build([TextFile.at(path)], tokenizer, tmp_path / "corpus")
    training, _ = make_spans(corpus, 24)
    assert training.pairs == len(training) - 1
    example = Rows(corpus, training, tokenizer, 24).example(training.pairs, generator(3))
    assert example.next_sentence == IGNORED and set(example.row.type_ids) == {0}
    assert tokenizer.decode(unmasked(example)).startswith("[CLS] the")


def test_without_next_sentences_a_row_is_one_run_of_the_text(tmp_path, tokenizer):
    path = tmp_path / "a.txt"
    path.write_text(text_of(2), encoding="utf-8")
    corpus = Corpus.build([TextFile.at(path)], tokenizer, tmp_path / "corpus")
    with pytest.raises(ValueError, match="too small.* three documents of two sentences"):
        make_spans(corpus, 24)
    training, _ = make_spans(corpus, 24, pairs=False)
    rows = Rows(corpus, training, tokenizer, 24, next_sentence=False)
    stops = [corpus.documents[1]]
    for number in range(len(training)):
        example = rows.example(number, generator(number), as_it_stands=True)
        assert example.next_sentence == IGNORED and set(example.row.type_ids) == {0}
        first, *run, last = unmasked(example)
        assert (first, last) == (tokenizer.cls_token_id, tokenizer.sep_token_id)
        start, stop, _ = training[number]
        assert " ".join(map(str, run)) in " ".join(map(str, corpus.ids(start, stop)))
        assert len(example.row.ids) == 24 or stop == corpus.documents[2]
        assert start == stops[-1], "the rows have all of the text"
        stops.append(stop)
    assert stops[-1] == corpus.documents[2]


def test_held_out_documents_are_not_trained_on(spans, corpus):
    training, held_out = spans
    trained, kept = set(training.table[:, 2].tolist()), set(held_out.table[:, 2].tolist())
    assert kept == {0, 20, 40} and trained == set(range(60)) - kept
    for table in spans:
        for first, stop, document in (table[i] for i in range(len(table))):
            start, end = corpus.documents[document : document + 2]
            assert start <= first < stop <= end


def test_batches_follow_from_seed_and_step(rows):
    first, again = (PreTraining(rows, 100, 8, seed=1) for _ in range(2))
    steps = [60, 3, 61, 3, 0]  # in any order, across epochs
    wanted = {step: again.batch(step) for step in sorted(set(steps))}
    assert all(first.batch(step) == wanted[step] for step in steps)
    assert first.fingerprint == again.fingerprint and first.settings == again.settings
    other = PreTraining(rows, 100, 8, seed=2)
    assert first.batch(0) != other.batch(0) and first.settings != other.settings


def test_an_epoch_has_every_row_once_and_masks_it_anew(rows):
    task, number = PreTraining(rows, 100, 8, seed=1), len(rows.spans)
    taken = [example for step in range(100) for example in task.batch(step)]
    for epoch in range(2):
        part = taken[epoch * number : (epoch + 1) * number]
        assert sorted(example.index for example in part) == list(range(number))
    same = [example for example in taken if example.index == taken[0].index]
    assert len({tuple(example.row.ids) for example in same}) > 1


def test_losses_of_the_parts_add_up_and_are_those_of_the_model(rows, tokenizer):
    model = tiny_model(tokenizer, initializer_range=0.2).eval()
    task = PreTraining(rows, 10, 16)
    batch = task.batch(0)
    lone = replace(batch[0], next_sentence=IGNORED)  # and one without a pair
    for examples in (batch, [lone, *batch[1:]]):
        whole = task.loss(model, examples, examples)
        parts = sum(task.loss(model, part, examples) for part in split(examples, 3))
        torch.testing.assert_close(parts, whole, atol=1e-5, rtol=1e-5)
    padded = tokenizer.pad([example.row for example in batch])
    labels = torch.full_like(padded["input_ids"], IGNORED)
    for row, example in zip(labels, batch, strict=True):
        row[: len(example.labels)] = torch.tensor(example.labels)
    next_sentence = torch.tensor([example.next_sentence for example in batch])
    reference = model(**padded, labels=labels, next_sentence_label=next_sentence).loss
    torch.testing.assert_close(task.loss(model, batch, batch), reference, atol=1e-5, rtol=1e-5)


def test_rows_of_unknown_tokens_alone_cost_nothing(rows, tokenizer):
    task = PreTraining(rows, 10, 2)
    example = task.batch(0)[0]
    empty = replace(example, labels=[IGNORED] * len(example.labels), next_sentence=IGNORED)
    assert task.loss(tiny_model(tokenizer), [empty], [empty]).item() == 0


# --- learning -------------------------------------------------------------------------------------


def test_training_beats_the_unigram_baseline(rows, spans, corpus, tokenizer):
    model = tiny_model(tokenizer)
    held_out = HeldOut(Rows(corpus, spans[1], tokenizer, 24))
    baseline = held_out.unigram(count_tokens(corpus, spans[0], tokenizer.vocabulary.size))
    task = PreTraining(rows, 120, 16)
    recipe = Recipe(epochs=1, lr=1e-2, warmup=0.1)
    before = held_out.evaluate(model.eval(), 0)
    train(model, task, recipe)
    after = held_out.evaluate(model, 120)
    assert baseline.loss < before.loss and before.accuracy < baseline.accuracy + 0.1
    assert after.loss < 0.6 * baseline.loss and after.accuracy > baseline.accuracy + 0.3
    assert held_out.evaluate(model, 120) == after, "the masking is fixed"


def test_unigram_baseline_is_what_it_says(spans, corpus, tokenizer):
    held_out = HeldOut(Rows(corpus, spans[1], tokenizer, 24))
    counts = count_tokens(corpus, spans[0], tokenizer.vocabulary.size)
    text = [corpus.ids(*spans[0][i][:2]) for i in range(len(spans[0]))]
    assert (counts == np.bincount(np.concatenate(text), minlength=len(counts))).all()
    ordinary = [i for i in range(len(counts)) if not held_out.special[i]]
    total = sum(counts[i] + 1 for i in ordinary)
    losses = [-np.log((counts[i] + 1) / total) for i in held_out.targets]
    result = held_out.unigram(counts)
    assert result.loss == pytest.approx(np.mean(losses))
    assert result.accuracy == np.mean(held_out.targets == counts.argmax())
