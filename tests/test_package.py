"""What a new user meets first: the import, and the README."""

from tests.conftest import ROOT
from tests.programs import run


def test_import_needs_the_core_packages_only():
    program = """
import sys, minibert
import minibert.tasks.text_classifier, minibert.data, minibert.training.loop, minibert.cli.main
roots = {name.partition(".")[0] for name in sys.modules}
print(sorted(roots & {"transformers", "matplotlib", "huggingface_hub", "sklearn"}))
"""
    assert run("-c", program, check=True).stdout.strip() == "[]"


def test_python_of_the_readme_runs(tmp_path):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    programs = [block.split("```")[0] for block in readme.split("```python\n")[1:]]
    quickstart, fast, vectors = (
        run("-c", program, check=True, cwd=tmp_path).stdout for program in programs
    )
    assert "torch.Size([1, 5, 384])" in quickstart and "torch.Size([1, 5, 384])" in fast
    assert (tmp_path / "output" / "mine" / "config.json").is_file()
    assert [f"{float(cosine):.2f}" for cosine in vectors.split()] == ["0.77", "0.18"]
