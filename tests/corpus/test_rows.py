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
from minibert.text.vocabulary import Vocabulary
from minibert.tokenizer import WordPieceTokenizer
from minibert.training.batches import split
from minibert.training.loop import train
from minibert.training.recipe import Recipe
from tests.corpus.conftest import SPECIAL, text_of, tiny_model


def unmasked(example):
    pairs = zip(example.row.ids, example.labels, strict=True)
    return [i if label == IGNORED else label for i, label in pairs]


def test_half_of_the_pairs_follow_and_the_others_are_of_another_document(tmp_path):
    """Here every token tells its sentence: sentence s is the tokens 4s .. 4s + 3, and a full stop
    that belongs to all."""
    random = np.random.default_rng(0)
    counts = random.integers(2, 12, size=60)  # sentences of a document
    document_of = np.repeat(np.arange(60), counts)
    words = [f"w{i}" for i in range(4 * len(document_of))]
    ids = {**SPECIAL, ".": 5, **{word: 6 + i for i, word in enumerate(words)}}
    own_tokenizer = WordPieceTokenizer(Vocabulary(ids, SPECIAL, lower_case=True))
    sentences = iter(" ".join(words[i : i + 4]) + "." for i in range(0, len(words), 4))
    path = tmp_path / "a.txt"
    path.write_text("\n\n".join(" ".join(next(sentences) for _ in range(n)) for n in counts))
    corpus = Corpus.build([TextFile.at(path)], own_tokenizer, tmp_path / "corpus")
    training, held_out = make_spans(corpus, 24)
    rows = Rows(corpus, training, own_tokenizer, 24)
    kept = set(held_out.table[:, 2].tolist())

    def sentences_of(ids):
        return sorted({(i - 6) // 4 for i in ids if i > 5})

    follows, lengths = 0, []
    numbers = [number for _ in range(20) for number in range(training.pairs)]
    for turn, number in enumerate(numbers):
        example = rows.example(number, generator(turn))
        ids, type_ids = unmasked(example), example.row.type_ids
        end = ids.index(own_tokenizer.sep)
        assert ids[0] == own_tokenizer.cls and ids[-1] == own_tokenizer.sep
        assert ids.count(own_tokenizer.sep) == 2 and len(ids) == len(example.labels) <= 24
        assert type_ids == [0] * (end + 1) + [1] * (len(ids) - end - 1)
        a, b = sentences_of(ids[1:end]), sentences_of(ids[end + 1 : -1])
        for run in (a, b):
            assert run == list(range(run[0], run[-1] + 1)), "neighbours"
            assert len({document_of[s] for s in run}) == 1
        assert document_of[a[0]] == training[number].document
        if example.next_sentence == 0:
            assert document_of[b[0]] == document_of[a[0]] and b[0] > a[-1]
        else:
            assert document_of[b[0]] != document_of[a[0]]
            assert document_of[b[0]] not in kept, "what is held out is not read"
        follows += example.next_sentence == 0
        lengths.append(len(ids))
    share = follows / len(numbers)
    assert abs(share - 0.5) < 4 * (0.25 / len(numbers)) ** 0.5
    assert max(lengths) == 24 and min(lengths) < 12, "some are short"


def test_a_document_of_one_sentence_has_no_pair(tmp_path, tokenizer):
    path = tmp_path / "a.txt"
    path.write_text(text_of(25) + "\nThe lone horse likes tea.\n", encoding="utf-8")
    corpus = Corpus.build([TextFile.at(path)], tokenizer, tmp_path / "corpus")
    training, _ = make_spans(corpus, 24)
    assert training.pairs == len(training) - 1
    example = Rows(corpus, training, tokenizer, 24).example(training.pairs, generator(3))
    assert example.next_sentence == IGNORED and set(example.row.type_ids) == {0}
    assert tokenizer.decode(unmasked(example)).startswith("[CLS] the")


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
    other = PreTraining(rows, 100, 8, seed=2)
    steps = [60, 3, 61, 3, 0]  # in any order, across epochs
    wanted = {step: again.batch(step) for step in sorted(set(steps))}
    assert all(first.batch(step) == wanted[step] for step in steps)
    assert first.batch(0) != other.batch(0) and first.settings != other.settings
    assert first.fingerprint == again.fingerprint and first.settings == again.settings
    number = len(rows.spans)
    taken = [example for step in range(100) for example in first.batch(step)]
    for epoch in range(2):
        part = taken[epoch * number : (epoch + 1) * number]
        assert sorted(example.index for example in part) == list(range(number))
    same = [example for example in taken if example.index == taken[0].index]
    assert len({tuple(example.row.ids) for example in same}) > 1, "masked anew in each epoch"


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
