"""What a new user meets first: the import, and the README."""

import json
import re
import tomllib
from dataclasses import asdict
from importlib.metadata import packages_distributions, requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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
    rf"\{{'lr': 0\.\d+\}} \['{LABEL}'\]\n",
    rf"{LABEL} Pure joy\n{LABEL} A waste of time\ntorch.Size\(\[1, 5, 384\]\)\n",
    r"0\.77 0\.18\n",
    r"512 None\n",
    r"torch\.Size\(\[2, 7, 384\]\)\n",
]
# All blocks in one process, in order: later ones load what the first one saved. "minilm-l6" may
# be another model in some.
PROGRAM = """
import json, sys
from minibert.checkpoint.hub import ALIASES, Package

packaged, names = ALIASES["minilm-l6"], {}
for block, other in json.loads(sys.argv[1]):
    ALIASES["minilm-l6"] = Package(**other) if other else packaged
    exec(compile(block, block, "exec"), names)
    print("--- next")
"""


def run_blocks(folder, starts_training=None):
    """What each block prints. starts_training: instead of minilm-l6, in the blocks that train."""
    trains = re.compile(r"\b(fit|train)\(")
    each = [(block, starts_training if trains.search(block) else None) for block in BLOCKS]
    printed = run("-c", PROGRAM, json.dumps(each), check=True, cwd=folder).stdout
    blocks = printed.split("--- next\n")[:-1]
    for block, pattern, found in zip(BLOCKS, PRINTED, blocks, strict=True):
        assert re.fullmatch(pattern, found), f"{block}\nprinted\n{found}"
    assert (folder / "output" / "reviews" / "config.json").is_file()
    return blocks


def test_python_of_the_readmes_runs(tmp_path, tokenizer):
    """As it stands there. What trains minilm-l6 trains a tiny model, and learns nothing."""
    model = tmp_path / "tiny_minilm" / "model"
    small_model(max_position_embeddings=128).bert.save_pretrained(model)
    tokenizer.write_files(model)
    tiny = Package("tiny_minilm", "model", sha256(model / SAFETENSORS), extra="demo")
    run_blocks(tmp_path, asdict(tiny))


@pytest.mark.slow  # half a minute of training
def test_python_of_the_readmes_is_right(tmp_path):
    quickstart, sklearn, fast, *_ = run_blocks(tmp_path)
    accuracy, *answers = quickstart.splitlines()
    assert 75 <= int(accuracy.partition("%")[0]) <= 95
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    for answer in answers:  # the README shows these labels; the last digits depend on the machine
        label, _, text = answer.partition(")")
        shown = [line for line in page.splitlines() if line.strip().endswith(")" + text)]
        assert shown and shown[0].split()[0] == label.split()[0], answer
    assert "positive" in sklearn
    assert fast.startswith("positive Pure joy\nnegative A waste of time\n")
