"""QuestionAnswerer: the same answers as transformers' pipeline, and a training of its own."""

import functools
import json
import logging
import warnings

import datasets
import numpy as np
import pandas as pd
import pytest
import torch
import transformers
from transformers.pipelines.document_question_answering import select_starts_ends

import minibert
from minibert import Tokenizer
from minibert.data.squad import Question
from minibert.tasks.passages import read_passages
from minibert.tasks.question_answerer import QuestionAnswerer
from minibert.tasks.spans import Answer
from minibert.training.batches import split
from minibert.training.spans import SpanPrediction
from tests.conftest import FAMILIES, TEXTS, TINY, hf_model, new_encoder, randomize
from tests.text.kinds import write_folder

TOKENIZERS = {
    "bert": None,  # the packaged one
    "distilbert": None,
    "electra": None,
    "roberta": "RobertaTokenizer",
    "xlm-roberta": "XLMRobertaTokenizer",
    "camembert": "CamembertTokenizer",
    "albert": "AlbertTokenizer",
}
SHORT = "Über naïve  U.S. 日本語 don't; it's 3.5 km!"
LONG = " ".join(f"{text} {SHORT}" for text in TEXTS[:4])
PAIRS = [("What is it?", SHORT), ("Where's the film number 3?", LONG), ("?", "x")]


def new_model(folder, tokenizer, family="bert", positions=130):
    """Write a random model and a tokenizer, by default this one."""
    if (kind := TOKENIZERS[family]) is not None:
        tokenizer = Tokenizer.from_pretrained(write_folder(folder, kind))
    fields = {**TINY, **FAMILIES.get(family, {}), "max_position_embeddings": positions}
    torch.manual_seed(0)
    config = minibert.BertConfig(
        **{
            **fields,
            "model_type": family,
            "vocab_size": tokenizer.vocabulary.size,
            "pad_token_id": tokenizer.pad_token_id,
        }
    )
    model = randomize(minibert.BertForQuestionAnswering(config), 0)
    with torch.no_grad():
        model.span.weight.mul_(600)  # spans that are far from each other, whatever is rounded
    model.save_pretrained(folder, overwrite=True)
    tokenizer.write_files(folder)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tokenizer):
    """The folder of a model that answers."""
    return new_model(tmp_path_factory.mktemp("answers") / "model", tokenizer)


@pytest.fixture(scope="module")
def answerer(trained):
    return QuestionAnswerer.load(trained, max_length=64, stride=16)


class Pipeline:
    """The question-answering pipeline of transformers 4, which 5 has no more, of its parts that are
    still there: tokenizer, model, and the choice of spans."""

    def __init__(self, folder):
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        self.model = transformers.AutoModelForQuestionAnswering.from_pretrained(folder).eval()

    @functools.cache  # noqa: B019, for it lives as long as a test
    @torch.inference_mode()
    def scores(self, question, context, max_length, stride):
        """(encoding, scores of starts, of ends) of each window."""
        batch = self.tokenizer(
            question,
            context,
            truncation="only_second",
            max_length=max_length,
            stride=stride,
            return_overflowing_tokens=True,
            return_token_type_ids=True,
        )
        found = []
        for i, encoding in enumerate(batch.encodings):
            output = self.model(**{name: torch.tensor([batch[name][i]]) for name in self.names()})
            found.append((encoding, output.start_logits.numpy(), output.end_logits.numpy()))
        return found

    def __call__(self, question, context, top_k, no_answer, max_length, stride):
        answers, nothing = [], 1_000_000
        for encoding, *scores in self.scores(question, context, max_length, stride):
            outside = np.array([part != 1 for part in encoding.sequence_ids])
            outside[0] = False  # [CLS]
            starts, ends, scores, nothing = select_starts_ends(
                *scores,
                outside[None].astype(int),
                np.ones((1, len(outside)), int),
                nothing,
                2 * top_k + 10,
                no_answer,
                15,
            )
            for first, last, score in zip(starts, ends, scores, strict=True):
                if not 0 < first <= last:  # what stands in for spans where there are too few
                    continue
                start, _ = encoding.word_to_chars(encoding.token_to_word(first), 1)
                _, end = encoding.word_to_chars(encoding.token_to_word(last), 1)
                answers = self.added(answers, Answer(context[start:end], start, end, score.item()))
        if no_answer:
            answers.append(Answer("", 0, 0, nothing))
        return sorted(answers, key=lambda answer: answer.score, reverse=True)[:top_k]

    def names(self):
        """What the model takes."""
        segments = getattr(self.model.config, "type_vocab_size", 0) > 1
        return ["input_ids", "attention_mask", *["token_type_ids"] * segments]

    @staticmethod
    def added(answers, new):
        for i, old in enumerate(answers):
            if old.text.lower() == new.text.lower():
                answers[i] = old._replace(score=old.score + new.score)
                return answers
        return [*answers, new]


# --- predictions ----------------------------------------------------------------------------------


@pytest.mark.parametrize("family", TOKENIZERS)
def test_answers_are_those_of_transformers_pipeline(family, tokenizer, tmp_path, parity):
    folder = new_model(tmp_path / "model", tokenizer, family)
    ours, theirs = QuestionAnswerer.load(folder, max_length=64, stride=16), Pipeline(folder)
    compared = 0
    for top_k, no_answer in ((1, False), (1, True), (4, True)):
        got = ours.predict(PAIRS, top_k, no_answer)
        for pair, found in zip(PAIRS, got, strict=True):
            found = [found] if top_k == 1 else found
            wanted = theirs(*pair, top_k, no_answer, max_length=64, stride=16)
            assert [answer[:3] for answer in found] == [answer[:3] for answer in wanted]
            miss = max(abs(a.score - b.score) for a, b in zip(found, wanted, strict=True))
            parity.at_most(f"{family}: scores of answers", miss)
            compared += len(found)
    parity.at_least(f"{family}: answers compared", compared, 3 + 3 + 4 + 4 + 1)


def test_usual_settings_are_those_of_the_pipeline(tokenizer, tmp_path):
    folder = new_model(tmp_path / "model", tokenizer, positions=512)
    answerer = QuestionAnswerer.load(folder)
    context = " ".join(LONG for _ in range(6))
    (found,) = answerer.predict([("What is it?", context)], top_k=3)
    wanted = Pipeline(folder)("What is it?", context, 3, False, max_length=384, stride=128)
    assert [answer[:3] for answer in found] == [answer[:3] for answer in wanted]
    assert np.allclose([a.score for a in found], [a.score for a in wanted], atol=1e-5)


def test_answers_stand_in_the_context_and_are_whole_words(answerer):
    words = "unaffordable misunderstandings flabbergasted"
    context = " ".join([words] * 3)
    (found,) = answerer.predict([("What?", context)], top_k=50)
    for text, start, end, score in found:
        assert text == context[start:end] and set(text.split()) <= set(words.split())
        assert 0 <= score <= 1


@pytest.mark.parametrize("length", [1, 2, 54, 55, 56, 57, 96, 97, 500])
def test_a_context_of_any_length_is_read_to_its_end(answerer, length):
    tokenizer = answerer.tokenizer_
    context = " ".join(f"{i % 10}" for i in range(length))
    (passage,) = read_passages(tokenizer, [("Where?", context)], 64, 16)
    read = [row.ids[passage.column : -1] for row in passage.rows]
    assert [tokenizer.decode(ids[:16]) for ids in read[1:]] == [
        tokenizer.decode(ids[-16:]) for ids in read[:-1]
    ]
    whole = read[0] + [i for ids in read[1:] for i in ids[16:]]
    assert tokenizer.decode(whole) == context
    assert max(len(row.ids) for row in passage.rows) == min(64, length + 5)
    assert answerer.predict([("Where?", context)])[0].text


def test_a_question_is_never_cut(answerer):
    """Beside a long one windows share half of what room they have; without room it is refused."""
    question = " ".join(["why"] * 52)
    (passage,) = read_passages(answerer.tokenizer_, [(question, SHORT)], 64, 16)
    assert passage.windows[:3] == [(0, 9), (5, 14), (10, 19)]
    assert answerer.predict([(" ".join(["why"] * 60), SHORT)])[0].text
    pairs = [PAIRS[0], (" ".join(["why"] * 61), SHORT)]
    with pytest.raises(ValueError, match="question of pair 1 has 61 tokens, and rows have 64, so"):
        answerer.predict(pairs)


def test_any_stream_of_pairs(answerer):
    wanted = answerer.predict(PAIRS)
    assert answerer.predict(pair for pair in PAIRS) == wanted
    assert list(answerer.stream(iter(PAIRS), window=1)) == list(zip(PAIRS, wanted, strict=True))
    assert answerer.predict([]) == []
    for pair, answer in zip(PAIRS, wanted, strict=True):  # whatever else is in the batch
        (alone,) = answerer.predict([pair])
        assert alone[:3] == answer[:3] and alone.score == pytest.approx(answer.score, abs=1e-5)


def test_answers_can_be_written_as_json(answerer):
    answer = answerer.predict(PAIRS[:1])[0]
    assert Answer(**json.loads(json.dumps(answer._asdict()))) == answer


def test_no_answer_is_one_where_it_may_be(trained, tmp_path):
    model = minibert.BertForQuestionAnswering.from_pretrained(trained)
    vectors = torch.zeros_like(model.span.weight)
    with torch.no_grad():
        model.span.weight.copy_(vectors)
        model.span.bias.zero_()
    model.save_pretrained(tmp_path / "flat")
    Tokenizer.from_pretrained(trained).write_files(tmp_path / "flat")
    answerer = QuestionAnswerer.load(tmp_path / "flat")
    pairs = [("Who?", "Ann or Bob")]
    (found,) = answerer.predict(pairs, top_k=9, no_answer=True)
    # Four tokens are as likely as each other, [CLS] among them; in words there are six spans.
    assert {answer.text for answer in found} == {
        "", "Ann", "or", "Bob", "Ann or", "or Bob", "Ann or Bob"
    }  # fmt: skip
    assert all(answer.score == pytest.approx(1 / 16) for answer in found)
    assert found[-1][:3] == ("", 0, 0)
    assert "" not in {answer.text for answer in answerer.predict(pairs, top_k=9)[0]}
    assert answerer.predict([("Who?", "\u200b\x07")]) == [Answer("", 0, 0, 1.0)]


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("Where?", "pair 2 is 'Where\\?', a str; give a list of tuples, each .question, context."),
        (["Where?", "Here."], "pair 2 is .*, a list; give a list of tuples"),
        (("Where?", "Here.", "There."), "a tuple; give a list of tuples"),
        (("", "Here."), "the question of pair 2 is empty"),
        (("Where?", " \n"), "the context of pair 2 is empty"),
        (("Where?", None), "the context of pair 2 is None, a NoneType"),
        ((1, "Here."), "the question of pair 2 is 1, a int"),
    ],
)
def test_what_is_no_pair_is_refused_and_what_was_finished_is_kept(answerer, pair, message):
    with pytest.raises(ValueError, match=message) as caught:
        answerer.predict([*PAIRS[:2], pair])
    assert caught.value.finished == answerer.predict(PAIRS[:2])


@pytest.mark.parametrize(
    "table",
    [
        {"question": ["Where?"]},
        pd.DataFrame(PAIRS),
        datasets.Dataset.from_dict({"question": ["?"]}),
    ],
)
def test_a_table_is_no_list_of_pairs(answerer, table):
    for use in (answerer.predict, lambda pairs: next(answerer.stream(pairs))):
        with pytest.raises(ValueError, match=r"give .* tuples: zip\(table\['question'\], table"):
            use(table)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"top_k": 0}, "top_k is 0; it must be a whole number of at least 1"),
        ({"no_answer": "yes"}, "no_answer is 'yes'"),
    ],
)
def test_arguments_of_predict(answerer, arguments, message):
    with pytest.raises(ValueError, match=message):
        answerer.predict(PAIRS, **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_length": 131}, "max_length is 131; this model takes 3 to 130"),
        ({"max_length": 64, "stride": 60}, "stride is 60 and a window has room for 60 token"),
        ({"stride": -1}, "stride is -1"),
        ({"max_answer_tokens": 0}, "max_answer_tokens is 0"),
        ({"precision": "fp8"}, "precision"),
    ],
)
def test_arguments_of_load(trained, arguments, message):
    with pytest.raises(ValueError, match=message):
        QuestionAnswerer.load(trained, **arguments)


def test_longest_answer(trained):
    answerer = QuestionAnswerer.load(trained, max_answer_tokens=2)
    (found,) = answerer.predict([("What?", "one two three four five")], top_k=20)
    assert max(len(answer.text.split()) for answer in found) == 2 and len(found) == 9


@pytest.mark.parametrize("outputs", [1, 3])
def test_a_head_of_other_outputs_is_refused(trained, tmp_path, outputs):
    model = hf_model("BertForQuestionAnswering", num_labels=outputs, vocab_size=30522)
    model.save_pretrained(tmp_path)
    Tokenizer.from_pretrained(trained).write_files(tmp_path)
    for use in (QuestionAnswerer.load, lambda folder: QuestionAnswerer(folder).fit(QUESTIONS)):
        with pytest.raises(ValueError, match=f"head for spans, .* with {outputs} outputs"):
            use(tmp_path)


def test_a_checkpoint_without_the_head_is_refused_in_one_line(start):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match="no trained weights for .*qa_outputs.*squad2") as e:
            QuestionAnswerer.load(start)
    assert "\n" not in str(e.value)


# --- training -------------------------------------------------------------------------------------

CITIES = ["Bonn", "Paris", "Rome", "London", "Berlin", "Oslo", "Vienna", "Athens"]


def question(i, answered=True):
    """Where somebody lives: the city is what to learn, wherever it stands."""
    name, city = "Ann Bob Carl Dora".split()[i % 4], CITIES[i % 8]
    context = f"In {city} lives {name}." if i % 3 else f"{name} lives, they say, in {city}."
    answers = ((city, context.index(city)), (f"in {city}", context.lower().index("in ")))
    if not answered:
        return Question(f"n{i}", f"Where does {name} live?", f"{name} is here no more.", ())
    right = tuple((context[at : at + len(text)], at) for text, at in answers)
    return Question(f"q{i}", f"Where does {name} live?", context, right)


QUESTIONS = [question(i) for i in range(16)]
BOTH = [*QUESTIONS, *(question(i, answered=False) for i in range(8))]


def new(start, **changes):
    return QuestionAnswerer(**{"model": start, "epochs": 1, "batch_size": 8, "lr": 1e-4, **changes})


@pytest.fixture(autouse=True)
def few_steps():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "epochs=. makes only|lr=.* is high")
        yield


@pytest.fixture(scope="module")
def fitted(few_words, tmp_path_factory):
    """Trained until it answers."""
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    folder = tmp_path_factory.mktemp("learner") / "model"
    new_encoder(folder, few_words, initializer_range=0.05, **still)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return new(folder, epochs=12, lr=3e-3, keep_best=True).fit(BOTH, BOTH)


def test_training_learns_to_answer_and_not_to(fitted):
    evaluations = fitted.history_.evaluations
    assert [list(each.metrics) for each in evaluations] == [["f1", "exact_match"]] * 13
    assert evaluations[0].metrics["f1"] < 0.5 < 0.95 < fitted.history_.best.metrics["f1"]
    report = fitted.evaluate(BOTH)
    assert report.metrics == fitted.history_.best.metrics
    assert str(report).startswith("metric")
    assert fitted.score(BOTH) == fitted.history_.best.metrics["f1"]


@pytest.mark.filterwarnings("ignore:this CPU has no")
def test_what_is_saved_answers_the_same_in_transformers_and_here(fitted, tmp_path):
    fitted.save(tmp_path / "model", data="Where people live.")
    pairs = [(q.question, q.context) for q in BOTH]
    wanted = fitted.predict(pairs, no_answer=True)
    again = QuestionAnswerer.load(tmp_path / "model")
    assert again.predict(pairs, no_answer=True) == wanted
    half = QuestionAnswerer.load(tmp_path / "model", precision="bf16")
    for found, exact in zip(half.predict(pairs, no_answer=True), wanted, strict=True):
        assert found[:3] == exact[:3] and found.score == pytest.approx(exact.score, abs=0.05)
    theirs = Pipeline(tmp_path / "model")
    for pair, answer in zip(pairs, wanted, strict=True):
        (found,) = theirs(*pair, 1, True, max_length=40, stride=20)
        assert found[:3] == answer[:3] and found.score == pytest.approx(answer.score, abs=1e-5)
    card = (tmp_path / "model" / "README.md").read_text()
    assert "pipeline_tag: question-answering" in card and "Where people live." in card
    assert (
        "24 texts for training: questions with a context each, 8 of them without an answer" in card
    )
    assert "BertForQuestionAnswering" in card and "exact_match" in card
    with pytest.raises(FileExistsError, match="model"):
        fitted.save(tmp_path / "model")


def test_how_contexts_are_read_is_saved(start, tmp_path):
    new(start, stride=7, max_answer_tokens=5, max_length=30).fit(QUESTIONS).save(tmp_path / "m")
    again = QuestionAnswerer.load(tmp_path / "m")
    assert (again.stride, again.max_answer_tokens, again.max_length) == (7, 5, 30)
    again = QuestionAnswerer.load(tmp_path / "m", stride=9, max_answer_tokens=3)
    assert (again.stride, again.max_answer_tokens, again.max_length) == (9, 3, 30)


def test_a_window_learns_the_answer_or_cls(tokenizer):
    context = " ".join(["so"] * 30 + ["in", "Reykjavik", ",", "Iceland"] + ["it"] * 30)
    (passage,) = read_passages(tokenizer, [("Where?", context)], 32, 8)
    start = context.index("Reykjavik")
    end = context.index("Iceland") + 1  # within a word: all of it is learned
    learned = []
    for row, (first, last) in zip(passage.rows, passage.targets(start, end), strict=True):
        tokens = tokenizer.decode(row.ids[first : last + 1])
        has_it = "reykjavik, iceland" in tokenizer.decode(row.ids)
        assert tokens == ("reykjavik, iceland" if has_it else "[CLS]")
        learned.append(has_it)
    assert 0 < sum(learned) < len(learned)
    assert passage.targets(0, 0) == [(0, 0)] * len(passage.rows)


def test_an_answer_that_no_window_has_is_told(start, planned):
    context = " ".join(["so"] * 60)
    long = Question("long", "How?", context, ((context, 0),))
    with pytest.warns(UserWarning, match="1 of 17 answers are in no window as a whole"):
        task = planned(new(start), [*QUESTIONS, long])
    assert set(task.examples.labels[16:]) == {(0, 0)} and len(task.examples) > 17


def test_the_first_of_several_answers_is_learned_and_all_count(start, planned):
    task = planned(new(start))
    first = question(0)
    columns = task.examples.labels[0]
    ids = task.examples.rows[0].ids[columns[0] : columns[1] + 1]
    assert len(first.answers) == 2 and task.tokenizer.decode(ids) == first.answers[0][0].lower()


@pytest.fixture()
def planned(monkeypatch):
    """fit up to the training loop: returns the task."""

    class Stop(Exception):
        pass

    def stop(model, task, *_, **__):
        raise Stop(model, task)

    monkeypatch.setattr("minibert.tasks.question_answerer.finetune", stop)

    def plan(answerer, questions=QUESTIONS, **arguments):
        with pytest.raises(Stop) as caught:
            answerer.fit(questions, **arguments)
        plan.model, task = caught.value.args
        return task

    return plan


@pytest.mark.parametrize("parts", [1, 2, 3, 8])
def test_loss_is_the_mean_over_the_batch_however_it_is_split(start, planned, parts):
    task = planned(new(start), BOTH)
    model, batch = planned.model, task.batch(0)
    padded = task.tokenizer.pad([example.row for example in batch])
    starts, ends = torch.tensor([example.label for example in batch]).unbind(dim=1)
    whole = model(**padded, start_positions=starts, end_positions=ends).loss
    total = sum(task.loss(model, part, batch) for part in split(batch, parts))
    torch.testing.assert_close(total, whole)


def test_an_interrupted_run_that_is_resumed_ends_with_the_same_bits(start, tmp_path, monkeypatch):
    whole = new(start, epochs=2).fit(QUESTIONS, QUESTIONS[:4])
    batch = SpanPrediction.batch

    def break_down(task, step):
        if step == 2:
            raise RuntimeError("the power fails")
        return batch(task, step)

    monkeypatch.setattr(SpanPrediction, "batch", break_down)
    run = {"folder": tmp_path / "run", "save_every": 1}
    with pytest.raises(RuntimeError, match="power"):
        new(start, epochs=2).fit(QUESTIONS, QUESTIONS[:4], **run)
    monkeypatch.setattr(SpanPrediction, "batch", batch)
    with pytest.raises(ValueError, match="validation"):
        new(start, epochs=2).fit(QUESTIONS, QUESTIONS[:3], **run, resume=True)
    again = new(start, epochs=2).fit(QUESTIONS, QUESTIONS[:4], **run, resume=True)
    assert again.history_.losses == whole.history_.losses
    assert again.history_.evaluations == whole.history_.evaluations
    for name, tensor in whole.model_.state_dict().items():
        assert torch.equal(tensor, again.model_.state_dict()[name]), name


def test_training_goes_on_with_a_head_and_a_new_one_is_seeded(start, trained, planned, caplog):
    first, again, other = (planned(new(start, seed=s)) and planned.model for s in (1, 1, 2))
    assert torch.equal(first.span.weight, again.span.weight)
    assert not torch.equal(first.span.weight, other.span.weight)
    with caplog.at_level(logging.INFO):
        planned(new(trained))
    assert "has a head for answers, which is trained further" in caplog.text
    kept = minibert.BertForQuestionAnswering.from_pretrained(trained)
    assert torch.equal(planned.model.span.weight, kept.span.weight)
    planned(new(trained, weights="random"))
    assert not torch.equal(planned.model.span.weight, kept.span.weight)


def test_a_loaded_one_refuses_to_be_fitted(trained):
    with pytest.raises(ValueError, match="weights is 'loaded'"):
        QuestionAnswerer.load(trained).fit(QUESTIONS)
    with pytest.raises(ValueError, match="this QuestionAnswerer is not trained"):
        QuestionAnswerer(trained).predict(PAIRS)


@pytest.mark.parametrize(
    ("changes", "arguments", "message"),
    [
        ({"metric": "accuracy"}, {}, "metric is 'accuracy'; .* f1, exact_match or loss"),
        ({"patience": 1}, {}, "patience and keep_best need validation questions"),
        ({"stride": 36}, {}, "stride is 36 and a window has room for 36"),
        ({"max_answer_tokens": "many"}, {}, "max_answer_tokens is 'many'"),
        ({"max_length": 41}, {}, "max_length is 41; this model takes 3 to 40"),
        ({"max_length": 8}, {}, r"question of example 'q0' has \d tokens, and rows have 8"),
        ({}, {"validation": []}, "validation: there are no questions"),
        ({}, {"validation": (QUESTIONS, 1)}, "validation: question 0 is .*must be an object"),
        ({}, {"resume": True}, "resume needs the folder"),
    ],
)
def test_what_cannot_be_trained_is_said_before(start, monkeypatch, changes, arguments, message):
    monkeypatch.setattr("minibert.tasks.question_answerer.finetune", None)  # never called
    with pytest.raises(ValueError, match=message):
        new(start, **changes).fit(QUESTIONS, **arguments)
