"""examples/finetune_glue.py: each task's files as GLUE hands them out, and what it writes."""

import importlib.util
import sys

import numpy as np
import pytest
import torch
import yaml
from scipy import stats
from sklearn import metrics

import minibert
from tests.conftest import FEW, ROOT, TINY

pytestmark = [
    pytest.mark.filterwarnings("ignore:epochs=. makes only", "ignore:lr=0.01 is high"),
]
# The columns of each task's training and development files, and of its tests; CoLA's have no names.
PAIR = "index sentence1 sentence2 label"
STS_B = "index genre filename year old_index source1 source2 sentence1 sentence2 score"
MNLI = (
    "index promptID pairID genre sentence1_binary_parse sentence2_binary_parse sentence1_parse "
    "sentence2_parse sentence1 sentence2 label1 gold_label"
)
COLUMNS = {
    "CoLA": ("source label star sentence", "index sentence"),
    "SST-2": ("sentence label", "index sentence"),
    "MRPC": ("Quality #1_ID #2_ID #1_String #2_String", "index #1_ID #2_ID #1_String #2_String"),
    "QQP": ("id qid1 qid2 question1 question2 is_duplicate", "id question1 question2"),
    "STS-B": (STS_B, STS_B.removesuffix(" score")),
    "MNLI": (MNLI, MNLI.removesuffix(" label1 gold_label")),
    "QNLI": ("index question sentence label", "index question sentence"),
    "RTE": (PAIR, PAIR.removesuffix(" label")),
    "WNLI": (PAIR, PAIR.removesuffix(" label")),
}
TEXTS = ("question", "sentence", "sentence1", "question1", "#1_String")
LABELS = ("label", "Quality", "is_duplicate", "gold_label", "score")
CLASSES = {
    "MNLI": ["contradiction", "entailment", "neutral"],
    "QNLI": ["entailment", "not_entailment"],
    "RTE": ["entailment", "not_entailment"],
    "STS-B": ["0.000", "2.500", "5.000"],
}


@pytest.fixture(scope="module")
def start(tmp_path_factory, few_words):
    """The folder of a tiny encoder that learns in a second, for its [CLS] has nothing of its own,
    only what it sees."""
    torch.manual_seed(0)
    sizes = {"vocab_size": FEW, "hidden_size": 32, "num_hidden_layers": 1}
    dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model = minibert.BertModel(minibert.BertConfig(**{**TINY, **sizes, **dropout}))
    with torch.no_grad():
        model.embeddings.position.weight.zero_()
        model.embeddings.segment.weight.zero_()
        model.embeddings.token.weight[few_words.encode("").ids[0]].zero_()
    folder = tmp_path_factory.mktemp("start") / "model"
    model.save_pretrained(folder)
    few_words.write_files(folder)
    return folder


@pytest.fixture()
def example(monkeypatch):
    """The example's main with these arguments, in this process."""
    path = ROOT / "examples" / "finetune_glue.py"
    spec = importlib.util.spec_from_file_location("finetune_glue", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def main(*arguments):
        monkeypatch.setattr(sys, "argv", [str(path), *map(str, arguments)])
        module.main()

    main.module = module
    return main


def first_text(i, classes):
    """That of row i: a word for its class, and a lone quotation mark, which is only that."""
    return f'{"red green blue".split()[i % len(classes)]} "first {i}'


def write(path, task, columns, rows, header=True, wrong=0):
    """A file of GLUE with so many rows, of which the first few have another class's label."""
    names, classes = columns.split(), CLASSES.get(task, ["0", "1"])
    first = next(name for name in TEXTS if name in names)
    lines = ["\t".join(names).replace("_ID", " ID").replace("_String", " String")] * header
    for i in range(rows):
        cells = {"index": str(i), "id": str(i), first: first_text(i, classes)}
        cells |= {name: classes[(i + (i < wrong)) % len(classes)] for name in LABELS}
        lines.append("\t".join(cells.get(name, f"{name} {i}") for name in names))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def glue_folder(folder, task, rows=12):
    folder.mkdir()
    labelled, test = COLUMNS[task]
    parts = ["_matched", "_mismatched"] if task == "MNLI" else [""]
    write(folder / "train.tsv", task, labelled, rows, header=task != "CoLA")
    for part in parts:
        write(folder / f"dev{part}.tsv", task, labelled, rows, header=task != "CoLA", wrong=3)
        write(folder / f"test{part}.tsv", task, test, 3)
    return folder


def test_every_task_of_glue_is_there(example):
    assert set(example.module.TASKS) == set(COLUMNS)


@pytest.mark.parametrize("name", COLUMNS)
def test_each_tasks_columns_are_found(example, tmp_path, name):
    folder, task = glue_folder(tmp_path / name, name), example.module.TASKS[name]
    texts, labels = example.module.read(folder / "train.tsv", task)
    classes = CLASSES.get(name, ["0", "1"])
    assert labels[:3] == [float(c) if name == "STS-B" else c for c in (classes * 2)[:3]]
    tests = example.module.read_tests(folder, task)
    assert list(tests) == (["_matched", "_mismatched"] if name == "MNLI" else [""])
    seconds = {"MRPC": "#2_String", "QQP": "question2", "QNLI": "sentence"}
    for i in range(3):
        text = first_text(i, classes)
        if name not in ("CoLA", "SST-2"):
            text = (text, f"{seconds.get(name, 'sentence2')} {i}")
        assert texts[i] == text and all(part[i] == text for part in tests.values())


@pytest.mark.parametrize("name", ["CoLA", "MRPC", "STS-B", "MNLI"])
def test_a_task_is_learned_reported_and_predicted(example, start, tmp_path, capsys, name):
    folder, output = glue_folder(tmp_path / name, name), tmp_path / "out"
    recipe = ["--epochs", 8, "--batch-size", 4, "--lr", 0.01]
    arguments = ["--model", start, "--data", folder, "--output", output, "--keep-best", *recipe]
    example("--task", name, *arguments)
    told = capsys.readouterr().out

    task, classifier = example.module.TASKS[name], minibert.TextClassifier.load(output)
    part = list(task.parts)[-1]
    texts, labels = example.module.read(folder / f"dev{part}.tsv", task)
    predicted = classifier.predict(texts)
    if name != "STS-B":  # the three wrong ones are wrong; each metric has a value of its own
        assert [a == b for a, b in zip(labels, predicted, strict=True)] == [False] * 3 + [True] * 9
    wanted = {
        "CoLA": lambda: {"matthews_corrcoef": metrics.matthews_corrcoef(labels, predicted)},
        "MRPC": lambda: {
            "f1:1": metrics.f1_score(labels, predicted, pos_label="1", zero_division=0),
            "accuracy": metrics.accuracy_score(labels, predicted),
        },
        "STS-B": lambda: {
            "pearson": stats.pearsonr(labels, predicted).statistic,
            "spearman": stats.spearmanr(labels, predicted).statistic,
        },
        "MNLI": lambda: {"accuracy": metrics.accuracy_score(labels, predicted)},
    }[name]()
    assert f"dev{part}.tsv: " + ", ".join(f"{n} {v:.4f}" for n, v in wanted.items()) in told

    tests = example.module.read_tests(folder, task)
    for part, submitted in task.parts.items():
        header, *rows = (output / f"{submitted}.tsv").read_text().splitlines()
        assert header == "index\tprediction"
        answers = classifier.predict(tests[part])
        if name == "STS-B":
            answers = [f"{answer:.3f}" for answer in np.clip(answers, 0, 5)]
        assert rows == [f"{i}\t{answer}" for i, answer in enumerate(answers)]
    card = (output / "README.md").read_text()
    results = yaml.safe_load(card.split("---\n")[1])["model-index"][0]["results"][0]
    assert results["task"]["type"] == "text-classification"
    assert f"by {task.metrics[0]}." in card
    assert not (tmp_path / "out.run").exists()


def test_a_row_of_the_tests_without_a_text_has_its_prediction(example, tmp_path):
    folder = glue_folder(tmp_path / "QQP", "QQP")
    with open(folder / "test.tsv", "a") as file:
        file.write("3\tonly one\t\n")
    tests = example.module.read_tests(folder, example.module.TASKS["QQP"])
    assert tests[""][3] == ("only one", "")


def test_what_is_not_the_tasks_is_refused_before_training(example, start, tmp_path):
    folder, output = glue_folder(tmp_path / "RTE", "RTE"), tmp_path / "out"
    arguments = ["--model", start, "--output", output, "--data", folder]
    with pytest.raises(ValueError, match="there is no column 'Quality'|no column '#1 String'"):
        example("--task", "MRPC", *arguments)
    write(folder / "train.tsv", "MNLI", MNLI, 3)
    with pytest.raises(FileNotFoundError, match="dev_matched.tsv"):
        example("--task", "MNLI", *arguments)
    write(folder / "train.tsv", "RTE", PAIR, 3)
    write(folder / "dev.tsv", "MNLI", COLUMNS["RTE"][0], 3)
    with pytest.raises(
        ValueError, match="development texts have the labels contradiction, neutral"
    ):
        example("--task", "RTE", *arguments)
    write(folder / "train.tsv", "RTE", STS_B, 3)
    write(folder / "dev.tsv", "RTE", STS_B, 3)
    with pytest.raises(ValueError, match="train.tsv: the score must be a number; .*'entailment'"):
        example("--task", "STS-B", *arguments)
    assert not output.exists() and not (tmp_path / "out.run").exists()
