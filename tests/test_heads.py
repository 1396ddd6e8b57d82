"""Heads refuse arguments they cannot use, naming value and limit, before anything changes."""

import pytest
import torch

import minibert
from minibert.config import BertConfig
from tests.conftest import OURS, TINY, ragged_batch

BATCH = ragged_batch([5, 3], pairs=True)
CLASSIFIER, TOKENS = minibert.BertForClassification, minibert.BertForTokenClassification
MASKED_LM, ANSWERS = minibert.BertForMaskedLM, minibert.BertForQuestionAnswering
PRE_TRAINING = minibert.BertForPreTraining


def long(*values):
    return torch.tensor(values)


def tokens(row, column, value):
    """Labels (2, 5) that are -100 but at one place."""
    labels = torch.full((2, 5), -100)
    labels[row, column] = value
    return labels


def marks(*places):
    wanted = torch.zeros(2, 5, dtype=torch.bool)
    for row, column in places:
        wanted[row, column] = True
    return wanted


NOTHING = torch.full((2, 5), -100)

CASES = [
    (CLASSIFIER, {"labels": long(0, 2)}, "labels contains 2.*0 to 1"),
    (CLASSIFIER, {"labels": long(0, -1)}, "labels contains -1"),
    (CLASSIFIER, {"labels": long(0)}, r"shape \(1,\).*\(2,\)"),
    (CLASSIFIER, {"labels": torch.tensor([0.0, 1.0])}, "float32.*int64"),
    (CLASSIFIER, {"labels": long(0, 1).int()}, "int32.*int64"),
    (TOKENS, {"labels": tokens(0, 1, 2)}, "labels contains 2.*0 to 1.*-100"),
    (TOKENS, {"labels": tokens(0, 1, -1)}, "labels contains -1"),
    (TOKENS, {"labels": NOTHING}, "-100 everywhere"),
    (TOKENS, {"labels": tokens(1, 4, 0)}, "row 1, column 4.*attention_mask hides.*-100"),
    (TOKENS, {"labels": long(0, 1)}, r"shape \(2,\).*\(2, 5\)"),
    (MASKED_LM, {"labels": tokens(0, 1, 211)}, "labels contains 211.*0 to 210"),
    (MASKED_LM, {"labels": NOTHING}, "-100 everywhere"),
    (MASKED_LM, {"labels": tokens(1, 3, 7)}, "row 1, column 3.*hides"),
    (MASKED_LM, {"predict": marks()}, "False everywhere.*leave it out"),
    (MASKED_LM, {"predict": marks((1, 4))}, "predict marks row 1, column 4.*hides"),
    (MASKED_LM, {"predict": marks((0, 1)).long()}, "int64.*bool"),
    (MASKED_LM, {"predict": marks((0, 1))[:1]}, r"\(1, 5\).*\(2, 5\)"),
    (
        MASKED_LM,
        {"predict": marks((0, 1)), "labels": tokens(0, 2, 7)},
        "label at row 0, column 2.*predict=labels != -100",
    ),
    (PRE_TRAINING, {"next_sentence_label": long(0, 2)}, "next_sentence_label contains 2.*0 to 1"),
    (PRE_TRAINING, {"next_sentence_label": long(0)}, "next_sentence_label has shape"),
    (PRE_TRAINING, {"labels": tokens(0, 1, 211)}, "labels contains 211"),
    (ANSWERS, {"start_positions": long(1, 1)}, "give start_positions and end_positions, or"),
    (ANSWERS, {"start_positions": long(1, 1), "end_positions": long(2, 5)}, "end.* 5.*0 to 4"),
    (ANSWERS, {"start_positions": long(1, -2), "end_positions": long(2, 2)}, "start.* -2"),
    (ANSWERS, {"start_positions": long(1, 1), "end_positions": long(2, 3)}, "row 1, column 3.*hid"),
    (ANSWERS, {"start_positions": long(3, 1), "end_positions": long(2, 1)}, "row 0 starts at 3"),
    (ANSWERS, {"start_positions": long(1, -100), "end_positions": long(2, 1)}, "row 1 .*both"),
    (
        ANSWERS,
        {"start_positions": long(-100, -100), "end_positions": long(-100, -100)},
        "-100 everywhere",
    ),
    (ANSWERS, {"start_positions": long(1), "end_positions": long(2)}, r"shape \(1,\)"),
]


@pytest.mark.parametrize(("kind", "arguments", "message"), CASES)
def test_bad_labels_are_refused_before_anything_changes(kind, arguments, message):
    model = kind(BertConfig(**TINY)).train()
    before = torch.get_rng_state()
    with pytest.raises(ValueError, match=message):
        model(**BATCH, **arguments)
    assert torch.equal(torch.get_rng_state(), before), "no dropout was drawn, so no layer ran"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_ids": BATCH["input_ids"] + 211}, "input_ids contains.*0 to 210.*tokenizer"),
        ({"token_type_ids": torch.full((2, 5), 2)}, "token_type_ids contains 2.*0 to 1"),
        ({"attention_mask": torch.ones(2, 6)}, r"\(2, 6\).*\(2, 5\)"),
        ({"attention_mask": BATCH["attention_mask"] * -10000}, "1 .or True."),
        ({"input_ids": torch.ones(2, 513, dtype=torch.long)}, "513 tokens.*512"),
    ],
)
@pytest.mark.parametrize("kind", OURS.values(), ids=OURS.keys())
def test_bad_batches_are_refused_by_every_head(kind, changes, message):
    model = kind(BertConfig(**TINY)).train()
    before = torch.get_rng_state()
    with pytest.raises(ValueError, match=message):
        model(**{**BATCH, **changes})
    assert torch.equal(torch.get_rng_state(), before)


MULTI, NUMBERS = "multi_label_classification", "regression"


@pytest.mark.parametrize(
    ("problem", "number", "labels", "message"),
    [
        (MULTI, 3, torch.full((2, 3), 1.5), "1.5 to 1.5.*from 0 to 1"),
        (MULTI, 3, torch.full((2, 3), torch.nan), "nan"),
        (MULTI, 3, torch.ones(2, 3).long(), "int64.*floating-point"),
        (MULTI, 3, torch.ones(2, 3).to(torch.float8_e4m3fn), "float8_e4m3fn.*floating-point"),
        (MULTI, 3, torch.ones(2), r"\(2,\).*\(2, 3\)"),
        (NUMBERS, 1, torch.ones(3), r"\(3,\).*\(2, 1\) or \(2,\)"),
        (NUMBERS, 1, torch.tensor([1.0, torch.inf]), "inf.*finite"),
        (NUMBERS, 1, long(1, 2), "int64.*floating-point"),
        ("single_label_classification", 1, long(0, 0), "1 label.*problem_type='regression'"),
    ],
)
def test_targets_that_do_not_fit_the_problem(problem, number, labels, message):
    names = tuple(f"LABEL_{i}" for i in range(number))
    model = CLASSIFIER(BertConfig(**TINY, labels=names, problem_type=problem))
    with pytest.raises(ValueError, match=message):
        model(**BATCH, labels=labels)


def test_regression_takes_its_labels_in_either_shape():
    model = CLASSIFIER(BertConfig(**TINY, labels=("score",))).eval()
    labels = torch.tensor([0.5, -1.0])
    flat, column = (model(**BATCH, labels=y).loss for y in (labels, labels[:, None]))
    assert flat.item() == column.item() > 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_losses_are_computed_in_fp32_or_better(dtype):
    model = CLASSIFIER(BertConfig(**TINY)).to(dtype).eval()
    loss = model(**BATCH, labels=long(0, 1)).loss
    assert loss.dtype == torch.promote_types(dtype, torch.float32)


def test_an_unknown_problem_lists_the_known_ones():
    with pytest.raises(ValueError, match="'ranking'.*multi_label_classification"):
        BertConfig(problem_type="ranking")


def test_encoder_without_pooler_says_so():
    model = minibert.BertModel(BertConfig(**TINY), pooler=False)
    packing = model.make_packing(**BATCH)
    with pytest.raises(ValueError, match="without a pooler"):
        model.pool(torch.zeros(2, 48), packing)


@pytest.mark.parametrize("kind", [MASKED_LM, PRE_TRAINING, ANSWERS])
def test_a_new_head_starts_as_bert_does_and_says_so(kind, tmp_path):
    torch.manual_seed(0)
    minibert.BertModel(BertConfig.from_size("bert-tiny")).save_pretrained(tmp_path / "m")
    with pytest.warns(UserWarning, match=r"random, so train"):
        model = kind.from_pretrained(tmp_path / "m")
    for name in model.load_report.newly_initialised:
        parameter = model.get_parameter(name)
        if name.endswith("bias"):
            assert not parameter.any(), name
        elif "norm" in name:
            assert (parameter == 1).all(), name
        else:
            assert 0.015 < parameter.std() < 0.025, name


def test_masked_lm_gradient_reaches_the_shared_table_from_both_ends():
    """Also the row of [PAD], which nothing reads but every score compares with."""
    model = MASKED_LM(BertConfig(**TINY)).eval()
    model(**BATCH, labels=tokens(0, 1, 7)).loss.backward()
    gradient = model.bert.embeddings.token.weight.grad
    assert gradient.abs().sum(dim=1).all()
    used = set(BATCH["input_ids"][BATCH["attention_mask"] == 1].tolist())
    others = [i for i in range(211) if i not in used | {7}]
    assert gradient[list(used)].norm(dim=1).mean() > gradient[others].norm(dim=1).mean()
