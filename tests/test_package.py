"""What a new user meets first: the import, and the README."""

import tomllib
from importlib.metadata import packages_distributions, requires

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT
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


def test_python_of_the_readmes_runs_and_is_right(tmp_path):
    """All blocks, in order, in one process: later ones load what the first one saved."""
    blocks = [*python_of("README.md"), *python_of("minibert/README.md")]
    mark = "\nprint('--- next')\n"
    printed = run("-c", mark.join(blocks), check=True, cwd=tmp_path).stdout
    quickstart, sklearn, fast, vectors, shape, hook = printed.split("--- next\n")
    accuracy, *answers = quickstart.splitlines()
    assert 75 <= int(accuracy.partition("%")[0]) <= 95
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(answers) == 4
    for answer in answers:  # the README shows these labels; the last digits depend on the machine
        label, _, text = answer.partition(")")
        shown = [line for line in page.splitlines() if line.strip().endswith(")" + text)]
        assert shown and shown[0].split()[0] == label.split()[0], answer
    assert (tmp_path / "output" / "reviews" / "config.json").is_file()
    assert "{'lr': " in sklearn and "positive" in sklearn
    assert (
        fast.split() == "positive Pure joy negative A waste of time torch.Size([1, 5, 384])".split()
    )
    assert vectors.split() == ["0.77", "0.18"]
    assert shape.split() == ["512", "None"]
    assert hook.strip() == "torch.Size([2, 7, 384])"
