"""What is shipped, and that using it asks nobody's server."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from shutil import copytree
from sysconfig import get_paths

import pytest

import minibert
from tests.conftest import ROOT
from tests.programs import run

NAME = f"minibert-{minibert.__version__}"
FILES = {  # of the package: all that is in its folder but Python's own traces
    str(path.relative_to(ROOT))
    for path in (ROOT / "minibert").rglob("*")
    if path.is_file() and "__pycache__" not in path.parts
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a wheel and an sdist, made from a copy of this checkout, without a network."""
    folder = tmp_path_factory.mktemp("built")
    source = folder / "source"
    for name in ("minibert", "tests/text", "benchmarks", "examples"):
        copytree(ROOT / name, source / name)
    (source / "minibert" / "__pycache__").mkdir(exist_ok=True)
    (source / "minibert" / "__pycache__" / "model.pyc").touch()
    (source / "tests" / "test_model.py").touch()
    for name in ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md"):
        (source / name).write_bytes((ROOT / name).read_bytes())
    program = """
import sys
from setuptools.build_meta import build_sdist, build_wheel
folder = sys.argv[1]  # which setuptools changes
build_sdist(folder)
build_wheel(folder)
"""
    result = run("-c", program, folder, cwd=source)
    assert result.returncode == 0, result.stderr
    return folder


def test_the_wheel_holds_the_package_and_nothing_else(built):
    with zipfile.ZipFile(built / f"{NAME}-py3-none-any.whl") as wheel:
        names = set(wheel.namelist())
        metadata = wheel.read(f"{NAME}.dist-info/METADATA").decode()
    assert {"minibert/py.typed", "minibert/data/train.tsv", "minibert/data/dev.tsv"} <= names
    info = ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE", "top_level.txt")
    assert names == FILES | {f"{NAME}.dist-info/{name}" for name in info}
    assert (ROOT / "README.md").read_text("utf-8") in metadata


def test_the_sdist_holds_what_the_wheel_is_built_from_and_nothing_else(built):
    with tarfile.open(built / f"{NAME}.tar.gz") as sdist:
        names = {member.name.partition("/")[2] for member in sdist if member.isfile()}
    own = {"pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md"}
    made = {name for name in names if name.startswith("minibert.egg-info/")}
    assert names - made == FILES | own | {"PKG-INFO", "setup.cfg"}


@pytest.mark.slow
def test_the_wheel_works_where_there_is_no_checkout(built, tmp_path):
    """In an environment of its own, which borrows this one's torch and the others."""
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    install = [python, "-m", "pip", "install", "--no-index", "--no-deps"]
    subprocess.run([*install, next(built.glob("*.whl"))], check=True, cwd=tmp_path)
    own = subprocess.check_output(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
    )
    # As the last of sys.path, and not read for .pth files, which may point to the checkout.
    (Path(own.strip()) / "others.pth").write_text(get_paths()["purelib"] + "\n")
    program = """
import minibert, minibert.data
train, dev = minibert.data.load("sample")
print(minibert.__file__, len(train), len(dev))
"""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    printed = subprocess.check_output([python, "-c", program], text=True, cwd=tmp_path, env=clean)
    file, *counts = printed.split()
    assert Path(file).is_relative_to(environment) and counts == ["880", "200"]
    command = environment / "bin" / "minibert"
    printed = subprocess.check_output([command, "version"], text=True, cwd=tmp_path, env=clean)
    assert f"minibert {minibert.__version__}" in printed


def test_nothing_asks_the_network_unasked(tmp_path):
    """From the import to a saved and loaded classifier, with the hub not switched off."""
    program = """
import sys

def refuse(event, arguments):
    # Every use of Python's sockets that leaves the process reports one of these.
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg") or "getaddrinfo" in event \\
            or "gethostby" in event:
        raise RuntimeError(f"{event} {arguments}")

sys.addaudithook(refuse)
import socket
try:
    socket.create_connection(("127.0.0.1", 9))
except RuntimeError:
    print("refused")
import minibert, minibert.data

(train, dev) = minibert.data.load("sample")
settings = {"epochs": 1, "batch_size": 4, "max_length": 16, "trained_layers": 1}
texts, labels = train.texts[:4] + train.texts[-4:], ["a", "b"] * 4
classifier = minibert.TextClassifier("minilm-l6", **settings).fit(texts, labels)
classifier.save(sys.argv[1])
minibert.TextClassifier.load(sys.argv[1]).predict(dev.texts[:4])
minibert.TextEncoder.load("minilm-l6").encode(dev.texts[:1])
# What downloads from the hub without Python's sockets was not even imported.
print(len(classifier.history_.losses), "hf_xet" in sys.modules)
"""
    asked = ("HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK")
    clean = {key: value for key, value in os.environ.items() if key not in asked}
    result = run("-c", program, tmp_path / "model", env=clean)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split("\n")[:2] == ["refused", "2 False"]
