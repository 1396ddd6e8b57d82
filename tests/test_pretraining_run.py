"""Pre-training from scratch: masking, the corpus, the task, and the example as a user runs it."""

import json
import os
import runpy
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers

import minibert
from minibert._checks import IGNORED
from minibert.corpus.masking import TokenKinds, mask_tokens
from minibert.corpus.rows import Rows
from minibert.corpus.spans import make_spans
from minibert.corpus.store import Corpus
from minibert.corpus.task import HeldOut, PreTraining, count_tokens, generator
from minibert.corpus.text import TextFile, clean
from minibert.corpus.vocabulary import train_vocabulary
from minibert.text.vocabulary import Vocabulary
from minibert.tokenizer import WordPieceTokenizer
from minibert.training.batches import split
from minibert.training.loop import Recipe, train
from tests.conftest import ROOT

# Whoever has a colour likes the drink that goes with it: what a masked word was, its context tells.
DRINKS = {"red": "wine", "white": "milk", "black": "coffee", "green": "tea", "brown": "cocoa"}
ANIMALS = ("cat", "dog", "horse", "mouse")


def text_of(documents):
    """A repetitive text: `documents` of 16 sentences, between blank lines."""
    random = np.random.default_rng(0)
    lines = []
    for _ in range(documents):
        colours = random.choice(list(DRINKS), 16)
        animals = random.choice(ANIMALS, 16)
        pairs = zip(colours, animals, strict=True)
        lines.append(" ".join(f"The {c} {a} likes {c} {DRINKS[c]}." for c, a in pairs))
    return "\n\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "drinks.txt"
    path.write_text(text_of(60), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def tokenizer(text):
    return WordPieceTokenizer(train_vocabulary([TextFile.at(text)], 100))


@pytest.fixture(scope="module")
def corpus(text, tokenizer, tmp_path_factory):
    return Corpus.build([TextFile.at(text)], tokenizer, tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def spans(corpus):
    return make_spans(corpus, 24)


@pytest.fixture(scope="module")
def rows(corpus, spans, tokenizer):
    return Rows(corpus, spans[0], tokenizer, 24)


def tiny_model(tokenizer, **changes):
    torch.manual_seed(0)
    sizes = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    still = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    return minibert.BertForPreTraining(
        minibert.BertConfig(
            vocab_size=tokenizer.vocabulary.size,
            max_position_embeddings=24,
            **{**sizes, **still, **changes},
        )
    )


# --- masking -------------------------------------------------------------------------------------

SPECIAL = {name: i for i, name in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"))}
WORDS = [f"{'##' if i % 3 else ''}w{i}" for i in range(300)]  # a word of three pieces, 100 times
IDS = {**SPECIAL, **{word: 5 + i for i, word in enumerate(WORDS)}}
KINDS = TokenKinds.of(WordPieceTokenizer(Vocabulary(IDS, SPECIAL, lower_case=True), "python"))


def random_rows(number, words=20):
    random = np.random.default_rng(1)
    for _ in range(number):
        starts = 5 + 3 * random.integers(100, size=words)
        pieces = (starts[:, None] + np.arange(3)).ravel()
        yield np.array([2, *pieces, 1, 1, 3])  # [CLS] ... [UNK] [UNK] [SEP]


@pytest.mark.parametrize("whole_word", [False, True])
def test_masking_is_80_10_10_of_15_percent_and_spares_special_tokens(whole_word):
    random = np.random.default_rng(0)
    tokens = selected = masked = same = replaced = 0
    for ids in random_rows(2000):
        seen, labels = mask_tokens(ids, KINDS, random, whole_word)
        chosen = labels != IGNORED
        assert not KINDS.special[ids[chosen]].any(), "no special token is to be guessed"
        assert (labels[chosen] == ids[chosen]).all() and (seen[~chosen] == ids[~chosen]).all()
        other = chosen & (seen != KINDS.mask)
        assert not KINDS.special[seen[other]].any(), "no special token is drawn"
        tokens += 60
        selected += chosen.sum()
        masked += (seen[chosen] == KINDS.mask).sum()
        same += (seen[other] == ids[other]).sum()
        replaced += (seen[other] != ids[other]).sum()
    assert selected == 0.15 * tokens == 18_000, "9 of 60, which is three whole words"
    # One in 300 random tokens is the one that stood there. Bounds: 4 standard deviations.
    for found, share in ((masked, 0.8), (replaced, 0.1 * 299 / 300), (same, 0.1 + 0.1 / 300)):
        assert abs(found / selected - share) < 4 * (share * (1 - share) / selected) ** 0.5


def test_every_token_is_selected_as_often_as_another():
    random, ids = np.random.default_rng(0), next(random_rows(1))
    counts = sum((mask_tokens(ids, KINDS, random).labels != IGNORED) for _ in range(2000))
    assert (abs(counts[1:61] / 2000 - 0.15) < 5 * (0.15 * 0.85 / 2000) ** 0.5).all()


def test_whole_words_stay_together():
    random = np.random.default_rng(0)
    for ids in random_rows(200):
        chosen = mask_tokens(ids, KINDS, random, whole_word=True).labels[1:61] != IGNORED
        assert (chosen.reshape(20, 3).sum(axis=1) % 3 == 0).all()
    assert any(
        (mask_tokens(ids, KINDS, random).labels[1:61] != IGNORED).reshape(20, 3).sum(1).max() < 3
        for ids in random_rows(20)
    ), "otherwise they do not"


def test_one_token_at_least_is_selected_where_there_is_one():
    random = np.random.default_rng(0)
    for ids in ([2, 5, 3], [2, 5, 6, 7, 3], [2, 6, 7, 3]):  # the last begins within a word
        for whole_word in (False, True):
            seen, labels = mask_tokens(np.array(ids), KINDS, random, whole_word)
            assert (labels != IGNORED).sum() == (len(ids) - 2 if whole_word else 1)
    assert (mask_tokens(np.array([2, 1, 3]), KINDS, random).labels == IGNORED).all()


def test_masking_follows_from_the_generator():
    ids = next(random_rows(1))

    def masked(seed):
        return mask_tokens(ids, KINDS, generator(seed)).ids.tolist()

    assert masked(1) == masked(1) != masked(2)
    assert ids.tolist() == next(random_rows(1)).tolist(), "the row itself is not changed"


# --- the corpus ----------------------------------------------------------------------------------


def test_marks_of_wikitext_are_understood(tmp_path, tokenizer):
    path = tmp_path / "wiki.txt"
    path.write_text(
        " \n = The red cat = \n \n The @-@ cat . Tea 4 @,@ 5 ! \n Milk <unk> \n"
        " = = The dog = = \n The dog likes milk\n\n\n☃\nThe tea. ☃ The wine.\n",
        encoding="utf-8",
    )
    sentences = list(TextFile.at(path).sentences())
    assert sentences == [
        ("The-cat .", True),
        ("Tea 4,5 !", False),
        ("Milk [UNK]", False),
        ("The dog likes milk", True),
        ("☃", True),
        ("The tea.", False),
        ("☃ The wine.", False),
    ]
    assert clean("one @-@ two @.@ 5 @ 6") == "one-two.5 @ 6"
    corpus = Corpus.build([TextFile.at(path)], tokenizer, tmp_path / "corpus")
    assert corpus.documents.tolist() == [0, 3, 4, 6] and corpus.several == 2
    assert tokenizer.decode(corpus.ids(3, 4)) == "the dog likes milk"
    assert tokenizer.decode(corpus.ids(4, 5)) == "the tea.", "what nobody can guess is left out"


def test_corpus_has_the_tokens_of_the_text(text, tokenizer, corpus):
    sentences = [sentence.text for sentence in TextFile.at(text).sentences()]
    assert corpus.number_of_sentences == len(sentences) == 960
    assert corpus.number_of_documents == 60 and corpus.tokens.dtype == np.uint16
    for number, sentence in enumerate(sentences):
        ids = corpus.ids(number, number + 1).tolist()
        assert ids == tokenizer.backend.ids([sentence])[0]
    words = tokenizer.decode(corpus.ids(0, 960)).replace(" .", "").replace(".", "").split()
    assert words == text.read_text().lower().replace(".", "").split()
    again = Corpus(corpus.folder)
    assert again.fingerprint == corpus.fingerprint
    again.check_made_from([TextFile.at(text)], tokenizer)


def test_a_damaged_corpus_is_refused(text, tokenizer, tmp_path):
    damaged = Corpus.build([TextFile.at(text)], tokenizer, tmp_path)
    content = bytearray((tmp_path / "tokens").read_bytes())
    content[100] ^= 1
    (tmp_path / "tokens").write_bytes(content)
    with pytest.raises(ValueError, match="is damaged; delete it"):
        damaged.check_made_from([TextFile.at(text)], tokenizer)
    (tmp_path / "corpus.json").write_text('{"texts": []}')
    with pytest.raises(ValueError, match="corpus.json is damaged"):
        Corpus(tmp_path)


def test_windows_and_cut_lines_lose_nothing(text, tokenizer, corpus, tmp_path, monkeypatch):
    monkeypatch.setattr("minibert.corpus.store.WINDOW", 100)
    small = Corpus.build([TextFile.at(text)], tokenizer, tmp_path / "small")
    assert small.fingerprint == corpus.fingerprint
    monkeypatch.setattr("minibert.corpus.text.LINE", 50)
    cut = Corpus.build([TextFile.at(text)], tokenizer, tmp_path / "cut")
    letters = tokenizer.decode(cut.tokens.tolist()).replace(" ", "").replace("#", "")
    assert letters == "".join(text.read_text().lower().split()), "a letter more or less"


def test_large_vocabularies_have_larger_ids(text, tokenizer, tmp_path):
    ids = {**tokenizer.ids, **{f"zz{i}": 100 + i for i in range(66_000)}, "tea": 66_099}
    large = WordPieceTokenizer(replace(tokenizer.vocabulary, ids=ids))
    corpus = Corpus.build([TextFile.at(text)], large, tmp_path)
    assert corpus.tokens.dtype == np.uint32 and 66_099 in corpus.tokens


def test_tables_give_a_document_a_row(tmp_path, tokenizer):
    path = tmp_path / "table.tsv"
    path.write_text("sentence\tlabel\nthe cat\t1\nThe dog. The tea\t0\n", encoding="utf-8")
    corpus = Corpus.build([TextFile.at(path)], tokenizer, tmp_path / "corpus")
    assert corpus.documents.tolist() == [0, 1, 3]


def test_a_changed_file_is_refused(tmp_path, tokenizer):
    path = tmp_path / "a.txt"
    path.write_text(text_of(3), encoding="utf-8")
    before = TextFile.at(path)
    sentences = before.sentences()
    next(sentences)
    path.write_text(text_of(4), encoding="utf-8")
    with pytest.raises(ValueError, match="a.txt changed while it was in use"):
        list(sentences)
    with pytest.raises(ValueError, match="changed"):
        Corpus.build([before], tokenizer, tmp_path / "corpus")
    with pytest.raises(FileNotFoundError, match="no corpus"):
        Corpus(tmp_path / "corpus")
    corpus = Corpus.build([TextFile.at(path)], tokenizer, tmp_path / "corpus")
    path.write_text(text_of(5), encoding="utf-8")
    with pytest.raises(ValueError, match="other texts.*a.txt"):
        corpus.check_made_from([TextFile.at(path)], tokenizer)
    with open(tmp_path / "corpus" / "tokens", "ab") as file:
        file.write(b"\0")
    with pytest.raises(ValueError, match="damaged"):
        Corpus(tmp_path / "corpus")


def test_the_same_text_gives_the_same_vocabulary():
    texts = [TextFile.at(ROOT / "README.md"), TextFile.at(ROOT / "LICENSE")]
    first, *others = (list(train_vocabulary(texts, 600).ids.items()) for _ in range(3))
    assert len(first) == 600 and all(other == first for other in others)
    assert train_vocabulary(texts, 600).size == 600, "ids without a gap"


# --- rows and batches ----------------------------------------------------------------------------


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
        assert sorted(example.number for example in part) == list(range(number))
    same = [example for example in taken if example.number == taken[0].number]
    assert len({tuple(example.row.ids) for example in same}) > 1, "masked anew in each epoch"


def test_losses_of_the_parts_add_up_and_are_those_of_the_model(rows, tokenizer):
    model = tiny_model(tokenizer, initializer_range=0.2).eval()
    task = PreTraining(rows, 10, 16)
    batch = task.batch(0)
    lone = batch[0]._replace(next_sentence=IGNORED)  # and one without a pair
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
    empty = example._replace(labels=[IGNORED] * len(example.labels), next_sentence=IGNORED)
    assert task.loss(tiny_model(tokenizer), [empty], [empty]).item() == 0


# --- learning ------------------------------------------------------------------------------------


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


# --- the example ---------------------------------------------------------------------------------

# Runs the example once for each list of arguments, in one process, for importing torch takes most
# of the time. "INTERRUPT 4" stands for Ctrl-C in the fifth step.
PROGRAM = """
import contextlib, io, json, logging, runpy, sys
from minibert.corpus.task import PreTraining

batch = PreTraining.batch

def interrupted(task, step):
    if f"INTERRUPT {step}" in arguments:
        raise KeyboardInterrupt
    return batch(task, step)

PreTraining.batch = interrupted

results = []
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["pretrain.py", *(a for a in arguments if not a.startswith("INTERRUPT"))]
    logging.root.handlers.clear()
    out, error, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            runpy.run_path("examples/pretrain.py", run_name="__main__")
        except SystemExit as exit:
            code = exit.code
    results.append([code, out.getvalue(), error.getvalue()])
print(json.dumps(results))
"""

TINY_RUN = (
    *("--steps", 8, "--batch-size", 4, "--layers", 1, "--hidden", 16, "--max-length", 24),
    *("--vocabulary-size", 100, "--whole-word", "--save-every", 2),
)
REFUSED = {
    "empty": (b"", (), "is empty"),
    "latin1": (b"caf\xe9 au lait. Encore.\n", (), "not UTF-8"),
    "small": (b"One sentence.\n", (), "too small"),
    "missing": (None, (), "no file"),
    "heads": (b"One. Two.\n", ("--hidden", 30, "--heads", 4), "heads"),
    "unwritable": (b"One. Two.\n", ("--output", "{folder}/unwritable.txt/out"), "is a file"),
    "no steps": (text_of(4).encode(), ("--steps", 0), "steps"),
    "lr": (text_of(4).encode(), ("--lr", 0), "lr"),
}


@pytest.fixture(scope="module")
def runs(text, tmp_path_factory):
    """Exit code, output and errors of each run of the example; and the folder they wrote to."""
    folder = tmp_path_factory.mktemp("runs")

    def arguments(path, name, *more):
        return ["--text", path, "--output", folder / name, *TINY_RUN, *more]

    cases = {
        "straight": arguments(text, "straight"),
        "interrupted": arguments(text, "resumed", "INTERRUPT 4"),
        "not asked to resume": arguments(text, "resumed"),
        "resumed": arguments(text, "resumed", "--resume"),
        # Interrupted before there was a state; the vocabulary was learned already.
        "early": arguments(text, "larger", "INTERRUPT 0"),
        "larger": arguments(text, "larger", "--resume", "--vocabulary-size", 120),
    }
    for name, (content, more, _) in REFUSED.items():
        path = folder / f"{name}.txt"
        if content is not None:
            path.write_bytes(content)
        cases[name] = arguments(path, "refused", *(str(m).format(folder=folder) for m in more))
    program = json.dumps([list(map(str, case)) for case in cases.values()])
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM, program],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.returncode == 0, process.stderr
    return folder, dict(zip(cases, json.loads(process.stdout.splitlines()[-1]), strict=True))


def test_example_pre_trains_and_its_folder_opens_everywhere(runs):
    folder, results = runs
    code, printed, errors = results["straight"]
    assert code == 0, errors
    for line in ("unigram baseline", "before training", "after training", "rows/s"):
        assert line in printed
    output = folder / "straight"
    assert {path.name for path in output.iterdir()} == {
        *("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"),
        *("learning_curve.png", "log.jsonl"),
    }
    assert not (folder / "straight.run").exists(), "nothing is left of a run that ended well"

    tokenizer = WordPieceTokenizer.from_pretrained(output)
    theirs = transformers.AutoTokenizer.from_pretrained(output)
    sentence = "The red cat likes [MASK] wine."
    batch = tokenizer(sentence)
    assert theirs(sentence)["input_ids"] == batch["input_ids"][0].tolist()
    assert len(theirs(sentence * 9, truncation=True)["input_ids"]) == 24
    reference = transformers.AutoModelForPreTraining.from_pretrained(output).eval()
    ours = minibert.BertForPreTraining.from_pretrained(output)
    with torch.inference_mode():
        logits = reference(**batch).prediction_logits
        torch.testing.assert_close(ours(**batch).prediction_logits, logits, atol=1e-5, rtol=0)
        masked = minibert.BertForMaskedLM.from_pretrained(output)(**batch).logits
        torch.testing.assert_close(masked, logits, atol=1e-5, rtol=0)
        hidden = minibert.BertModel.from_pretrained(output)(**batch).last_hidden_state
    assert hidden.shape == (*batch["input_ids"].shape, 16)
    assert ours.config.hidden_dropout_prob == 0.1


def test_a_resumed_run_ends_with_the_same_bits(runs):
    folder, results = runs
    assert results["interrupted"][0] == 130
    code, _, errors = results["not asked to resume"]
    assert code == 2 and "earlier run; resume it (resume=True, --resume)" in errors
    code, printed, errors = results["resumed"]
    assert code == 0, errors
    assert "resuming after step 4" in printed
    files = [folder / name / "model.safetensors" for name in ("straight", "resumed")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_run_without_a_state_may_be_resumed_with_another_vocabulary(runs):
    folder, results = runs
    assert results["early"][0] == 130
    code, printed, errors = results["larger"]
    assert code == 0, errors
    assert "no state to resume from" in printed
    assert "learning the vocabulary" in printed
    assert "learning the vocabulary" not in results["resumed"][1], "with the same one it is kept"
    assert not (folder / "larger.run").exists()


@pytest.mark.parametrize("name", REFUSED)
def test_example_refuses_bad_input_in_one_line_with_exit_code_2(runs, name):
    folder, results = runs
    code, _, errors = results[name]
    assert code == 2
    assert REFUSED[name][2] in errors and len(errors.strip().splitlines()) == 1
    assert not (folder / "refused").exists()


def test_a_null_result_is_reported_as_one():
    verdict = runpy.run_path(str(ROOT / "examples" / "compare_pretrained.py"))["verdict"]
    assert "no difference beyond two standard errors" in verdict([0.01, -0.01, 0.02, -0.015, 0.0])
    # Mean 0.02 and standard deviation 0.01 of four: a standard error of 0.005.
    said = verdict([0.01, 0.03, 0.02 + 0.5**0.5 / 100, 0.02 - 0.5**0.5 / 100])
    assert "+2.00 points, standard error 0.50, 4 pairs: pre-training helps" in said
    assert "pre-training hurts" in verdict([-0.02, -0.021, -0.019])
