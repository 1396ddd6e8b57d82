"""What a new user meets first: the import, the examples, the command."""

import json
import subprocess
import sys

from tests.conftest import ROOT


def run(*arguments, **kwargs):
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        **{"capture_output": True, "text": True, "cwd": ROOT, **kwargs},
    )


def test_import_needs_the_core_packages_only():
    program = """
import sys, minibert
import minibert.tasks.text_classifier, minibert.data, minibert.training.loop, minibert.cli.main
roots = {name.partition(".")[0] for name in sys.modules}
print(sorted(roots & {"transformers", "matplotlib", "huggingface_hub", "sklearn"}))
"""
    assert run("-c", program, check=True).stdout.strip() == "[]"


def test_trace_follows_the_model():
    result = run("examples/trace.py", "Hello there", check=True)
    assert "largest difference to the model called as a whole" in result.stdout


def test_example_fine_tunes_and_saves(tmp_path):
    output, table = tmp_path / "out", tmp_path / "mine.csv"
    rows = [f"{'a fine' if i % 2 else 'a poor'} film,{'yes' if i % 2 else 'no'}" for i in range(60)]
    table.write_text("\n".join(["Text,Label", *rows]))
    result = run(
        *("examples/finetune_sst2.py", "--data", table, "--limit", 32, "--epochs", 1),
        *("--max-length", 32, "--output", output),
    )
    assert result.returncode == 0, result.stderr
    for line in (
        "majority baseline",
        "accuracy before training",
        "accuracy after training",
        "confusion",
        "examples/s",
        "'This is not my idea of fun': ",
        "'This was beyond incredible': ",
    ):
        assert line in result.stdout
    written = {path.name for path in output.iterdir()}
    assert written == {
        *("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"),
        *("learning_curve.png", "README.md", "log.jsonl"),
    }
    assert (output / "learning_curve.png").read_bytes()[:4] == b"\x89PNG"
    again = run("examples/finetune_sst2.py", "--output", output)
    assert again.returncode == 2 and "exists" in again.stderr, "refused before training"
    line = run("-m", "minibert", "classify", output, input="A joy.\n", check=True).stdout
    assert line.split("\t")[0] in ("no", "yes")


def test_example_refuses_bad_input_in_one_line_with_exit_code_2(tmp_path):
    refused = {
        "nowhere.csv": ["--data", "nowhere.csv"],
        "minilm-l6": ["--model", "minilm-l7"],
        "epochs": ["--epochs", "0"],
    }
    # In one process, for importing torch takes most of the time.
    program = """
import json, runpy, sys
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["finetune_sst2.py", *arguments]
    try:
        runpy.run_path("examples/finetune_sst2.py", run_name="__main__")
    except SystemExit as exit:
        print(f"exit code {exit.code}", file=sys.stderr)
"""
    output = ["--output", str(tmp_path / "out")]
    result = run("-c", program, json.dumps([[*case, *output] for case in refused.values()]))
    lines = result.stderr.splitlines()
    assert len(lines) == 2 * len(refused), result.stderr
    for named, line, code in zip(refused, lines[::2], lines[1::2], strict=True):
        assert named in line and code == "exit code 2"
    assert not (tmp_path / "out").exists()


def test_python_of_the_readme_runs(tmp_path):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    programs = [block.split("```")[0] for block in readme.split("```python\n")[1:]]
    quickstart, fast, vectors = (
        run("-c", program, check=True, cwd=tmp_path).stdout for program in programs
    )
    assert "torch.Size([1, 5, 384])" in quickstart and "torch.Size([1, 5, 384])" in fast
    assert (tmp_path / "output" / "mine" / "config.json").is_file()
    assert [f"{float(cosine):.2f}" for cosine in vectors.split()] == ["0.77", "0.18"]


def test_command():
    result = run("-m", "minibert", "tokenize", "minilm-l6", input="Unaffordable!\n")
    assert result.stdout == "una ##ff ##ord ##able !\n"
    wrong = run("-m", "minibert", "info", "minilm-l7")
    assert wrong.returncode == 2 and "minilm-l6" in wrong.stderr
