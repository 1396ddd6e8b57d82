"""What a new user meets first: the import, and the README."""

import json
import re
import tomllib
from dataclasses import asdict, replace
from importlib.metadata import packages_distributions, requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import minibert
from minibert.checkpoint.files import SAFETENSORS, sha256
from minibert.checkpoint.hub import Package
from tests.conftest import ROOT, small_model
from tests.programs import run


def canonical(line: str) -> str:
    return canonicalize_name(Requirement(line).name)


def core_packages(installed: set[str]) -> set[str]:
    """The distributions that `pip install minibert` brings, without extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines, found = project["dependencies"], {"minibert"}
    while lines:
        new = {canonical(line) for line in lines} & installed - found
        found |= new
        needed = [line for name in new for line in requires(name) or ()]
        lines = [line for line in needed if applies(Requirement(line))]
    return found


def applies(needed: Requirement) -> bool:
    """To this machine, with no extra asked for."""
    return needed.marker is None or needed.marker.evaluate({"extra": ""})


def test_every_module_needs_the_core_packages_only():
    owners = {  # of what can be imported
        name: {canonicalize_name(owner) for owner in found}
        for name, found in packages_distributions().items()
    }
    core = core_packages(set().union(*owners.values()))
    refused = [name for name, found in owners.items() if core.isdisjoint(found)]
    assert {"transformers", "matplotlib", "sklearn", "hypothesis"} <= set(refused)
    program = """
import sys
from importlib import import_module
from pkgutil import walk_packages

class Refused:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[1:]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refused)
import minibert

for module in walk_packages(minibert.__path__, "minibert."):
    if module.name != "minibert.__main__":  # it is the command, and would run
        import_module(module.name)
        print(module.name)
"""
    result = run("-c", program, *refused)
    assert result.returncode == 0, result.stderr
    assert {"minibert.heads", "minibert.cli.main"} <= set(result.stdout.split())


def test_import_waits_for_nothing_that_downloads_or_draws():
    program = """
import sys, torch, numpy, tokenizers, safetensors.torch  # torch itself imports tqdm
for name in ("huggingface_hub", "tqdm", "matplotlib"):
    sys.modules[name] = None  # and an import of it fails
import minibert
"""
    result = run("-c", program)
    assert result.returncode == 0, result.stderr


def python_of(path):
    """The Python blocks of a page."""
    page = (ROOT / path).read_text(encoding="utf-8")
    return [block.split("```")[0] for block in page.split("```python\n")[1:]]


def test_the_first_snippet_of_the_readme_is_the_quickstart():
    quickstart = (ROOT / "examples" / "quickstart.py").read_text(encoding="utf-8")
    first = python_of("README.md")[0]
    assert quickstart.endswith(first), "and its docstring before it"


BLOCKS = [*python_of("README.md"), *python_of("minibert/README.md")]
LABEL = "(positive|negative)"
PRINTED = [  # by each of them
    rf"(\d+)% of 200 new sentences are right\n({LABEL} \(0\.\d\d\)  .+\n){{4}}",
    r"are 0\.9\d\nis 0\.0\d\n",
    r"\['No refund yet', 'It crashed'\] \['billing', 'bug'\]\n",
    r"\['accuracy', 'balanced_accuracy', 'f1_macro'\] (True|False)\n",
    r"\(32, 2\) \(32,\)\n",
    r"\{'lr': 0\.\d+\} (True|False)\n",
    rf"{LABEL} Pure joy\n{LABEL} A waste of time\ntorch.Size\(\[1, 5, 384\]\)\n",
    r"\['negative', 'positive'\]\n",
    r"0\.77 0\.18\n",
    r"((PER|LOC) .+ \d+ \d+\n)*.+ \d+ \d+\n(\S+ 0\.\d+\n){2}.*delivery.*\n",
    r"(?s).+\n\(1, 3\)\n.+joy.*",
    r"8\n",
    r"(\[torch\.onnx\] .+\n)*",  # progress, where it is exported
    r"512 None\n",
    r"torch\.Size\(\[2, 7, 384\]\)\n",
]
# All blocks in one process, in order: later ones load what the first one saved. Names may stand for
# other models there.
PROGRAM = """
import json, sys
from minibert.checkpoint.hub import ALIASES, Package

packaged, names = dict(ALIASES), {}
for block, others in json.loads(sys.argv[1]):
    ALIASES.update(packaged | {name: Package(**other) for name, other in others.items()})
    exec(compile(block, block, "exec"), names)
    print("--- next")
"""
# Models of the hub in the README, and the heads they have.
ON_THE_HUB = {
    "bert-base-cased": (minibert.BertForMaskedLM, ()),
    "dslim/bert-base-NER": (minibert.BertForTokenClassification, ("O", "B-PER", "I-PER", "B-LOC")),
    "deepset/bert-base-cased-squad2": (minibert.BertForQuestionAnswering, ()),
    "cross-encoder/nli-distilroberta-base": (
        minibert.BertForClassification,
        ("contradiction", "entailment", "neutral"),
    ),
}


def packed(folder, name, model, tokenizer):
    """A tiny model as a package in the folder, instead of what the name stands for."""
    package = re.sub(r"\W", "_", name)
    model.save_pretrained(folder / package / "model")
    tokenizer.write_files(folder / package / "model")
    weights = sha256(folder / package / "model" / SAFETENSORS)
    return {name: asdict(Package(package, "model", weights, extra="demo"))}


def of_the_readmes(tokenizer, **changes):
    """A tiny model that is long enough for their texts."""
    return small_model(vocab_size=len(tokenizer), max_position_embeddings=128, **changes)


def run_blocks(folder, tokenizer, blocks=BLOCKS, starts_training=None):
    """What each block prints. starts_training: instead of minilm-l6, in the blocks that train."""
    trains = re.compile(r"\b(fit|train|finetune)\(")
    others = {}
    for name, (kind, labels) in ON_THE_HUB.items():
        config = replace(of_the_readmes(tokenizer).config, labels=labels or ("0", "1"))
        others |= packed(folder, name, kind(config), tokenizer)
    each = [
        (block, others | (starts_training or {}) if trains.search(block) else others)
        for block in blocks
    ]
    printed = run("-c", PROGRAM, json.dumps(each), check=True, cwd=folder).stdout
    found = printed.split("--- next\n")[:-1]
    for block, pattern, line in zip(BLOCKS, PRINTED, found, strict=False):
        assert re.fullmatch(pattern, line), f"{block}\nprinted\n{line}"
    assert len(found) == len(blocks) and (folder / "output" / "reviews" / "config.json").is_file()
    return found


def test_python_of_the_readmes_runs(tmp_path, few_words):
    """As it stands there. What trains minilm-l6 trains a tiny model, and learns nothing; what is
    exported is not, which takes long."""
    assert len(BLOCKS) == len(PRINTED)
    layer = of_the_readmes(few_words, num_hidden_layers=1)
    tiny = packed(tmp_path, "minilm-l6", layer.bert, few_words)
    blocks = ["" if "torch.onnx" in block else block for block in BLOCKS]
    run_blocks(tmp_path, few_words, blocks, tiny)


@pytest.mark.slow  # half a minute of training
def test_python_of_the_readmes_is_right(tmp_path, tokenizer):
    quickstart, _, _, report, _, sklearn, fast, *_ = run_blocks(tmp_path, tokenizer)
    accuracy, *answers = quickstart.splitlines()
    assert 75 <= int(accuracy.partition("%")[0]) <= 95
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    for answer in answers:  # the README shows these labels; the last digits depend on the machine
        label, _, text = answer.partition(")")
        shown = [line for line in page.splitlines() if line.strip().endswith(")" + text)]
        assert shown and shown[0].split()[0] == label.split()[0], answer
    assert "True" in report and "True" in sklearn
    assert fast.startswith("positive Pure joy\nnegative A waste of time\n")
