"""How long does loading take, and how much memory does it need?

    python benchmarks/loading.py

Saves a random model of bert-base-cased's shape (433 MB) to a temporary folder, then loads it in
fresh processes from a warm disk. Prints the seconds of `BertModel.from_pretrained`, the peak of
anonymous memory above what the process held before (Linux only: /proc) as a share of the weights,
and what `import minibert` costs compared with `import torch`.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile

import devices
import torch
from devices import at_least_one

import minibert
from minibert._programs import run_program

LOAD = """
import re, sys, threading, time, torch, minibert
def anonymous():
    return int(re.search(r"RssAnon:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
before = peak = anonymous()
done = threading.Event()
def watch():
    global peak
    while not done.wait(0.001):
        peak = max(peak, anonymous())
watcher = threading.Thread(target=watch) if sys.argv[2] == "memory" else None
if watcher: watcher.start()
start = time.perf_counter()
model = minibert.BertModel.from_pretrained(sys.argv[1])
seconds = time.perf_counter() - start
done.set()
if watcher: watcher.join()
weights = 4 * sum(p.numel() for p in model.parameters())
print(seconds, (max(peak, anonymous()) - before) / weights)
"""
IMPORT = "import sys, time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"


def run(program: str, *arguments: str) -> list[float]:
    output = subprocess.run(
        [sys.executable, "-c", program, *arguments], check=True, capture_output=True, text=True
    )
    return [float(number) for number in output.stdout.split()]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--runs", type=at_least_one, default=7)
    runs = parser.parse_args().runs
    print(f"{devices.conditions(torch.get_num_threads(), [])}, fp32")
    with tempfile.TemporaryDirectory() as folder:
        minibert.BertModel(minibert.BertConfig()).save_pretrained(f"{folder}/model")
        run(LOAD, f"{folder}/model", "time")  # warm the disk cache
        seconds = [run(LOAD, f"{folder}/model", "time")[0] for _ in range(runs)]
        memory = [run(LOAD, f"{folder}/model", "memory")[1] for _ in range(runs)]
    print(f"load, bert-base-cased shape: {_summary(seconds)} s")
    print(f"peak anonymous memory / weights: {_summary(memory)}")
    imports: dict[str, list[float]] = {"torch": [], "minibert": []}
    for _ in range(runs):  # alternating, so that a slow moment hits both
        for name, times in imports.items():
            times += run(IMPORT.format(name))
    ratios = [b / a for a, b in zip(imports["torch"], imports["minibert"], strict=True)]
    print(f"import minibert / import torch: {_summary(ratios)}")


def _summary(values: list[float]) -> str:
    return f"median {statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


if __name__ == "__main__":
    run_program(main)
