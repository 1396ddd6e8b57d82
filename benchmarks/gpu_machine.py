"""The first section of `gpu.py`: versions, the card as it is, and what it can do at best."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import time
from functools import partial

import devices
import torch
from attention_cells import DTYPES
from gpu_cells import Bench, Cell, LeftOut
from gpu_results import Json

import minibert

PACKAGES = (
    "transformers",
    "accelerate",
    "tokenizers",
    "safetensors",
    "numpy",
    "triton",
    "matplotlib",
    "pytest",
)
# Read only: nothing here changes a setting of the card.
QUERIES = (
    "name",
    "driver_version",
    "memory.total",
    "clocks.sm",
    "clocks.max.sm",
    "clocks.mem",
    "clocks.max.mem",
    "power.draw",
    "power.limit",
    "temperature.gpu",
    "persistence_mode",
    "compute_mode",
    "mig.mode.current",
)
WARM_SECONDS = 0.5  # in which an idle card raises its clocks


def cells(bench: Bench) -> list[Cell]:
    names = [name for name, dtype in DTYPES.items() if dtype in bench.device.dtypes()]
    return [
        Cell("versions", partial(versions, bench)),
        *(Cell(f"products in {name}", partial(products, bench, name)) for name in names),
        Cell("copies", partial(copies, bench)),
        Cell("the card after work", nvidia_smi),
    ]


def versions(bench: Bench) -> Json:
    """Of everything a figure depends on."""
    found: Json = {
        "minibert": minibert.__version__,
        "commit": commit(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "device": bench.device.describe(),
        "fp32 products": torch.get_float32_matmul_precision(),  # "highest": TF32 is off
        "cpu": devices.cpu(),
        "cores": devices.cores(),
        "threads": torch.get_num_threads(),
        "free_gb": round(bench.device.free_bytes() / 2**30, 1),
    }
    for package in PACKAGES:
        found[package] = importlib.metadata.version(package) if _has(package) else "not installed"
    if bench.device.type == "cuda":
        properties = torch.cuda.get_device_properties(bench.device.device)
        found |= {
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            "capability": f"{properties.major}.{properties.minor}",
            "multiprocessors": properties.multi_processor_count,
            "memory_gb": round(properties.total_memory / 2**30, 1),
            "l2_mb": round(getattr(properties, "L2_cache_size", 0) / 2**20, 1),
        }
    return found


def _has(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def commit() -> str:
    """That of the checkout, or "unknown"."""
    git = shutil.which("git")
    if git is None:
        return "unknown"
    done = subprocess.run(
        [git, "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        cwd=os.path.dirname(os.path.abspath(__file__)),
        timeout=10,
    )
    return done.stdout.strip() or "unknown"


def nvidia_smi() -> Json:
    """What the driver says of the card. An old one does not know every question."""
    program = shutil.which("nvidia-smi")
    if program is None:
        raise LeftOut("nvidia-smi is not here")
    for questions in (QUERIES, QUERIES[:3]):
        done = subprocess.run(
            [program, f"--query-gpu={','.join(questions)}", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=20,
        )
        answers = (done.stdout.strip().splitlines() or [""])[0].split(", ")
        if done.returncode == 0 and len(answers) == len(questions):
            return dict(zip(questions, answers, strict=True))
    raise LeftOut(f"nvidia-smi does not tell: {(done.stdout + done.stderr).strip()[:200]}")


def products(bench: Bench, name: str) -> Json:
    """The best rate of a large product, once the clocks are up; and the rate at the end."""
    device, dtype = bench.device, DTYPES[name]
    end = time.perf_counter() + (WARM_SECONDS if bench.scale.compiled else 0)
    best, rates = 0.0, list[float]()
    while not rates or time.perf_counter() < end:
        rates.append(devices.compute_ceiling(device, dtype, 4))
        best = max(best, rates[-1])
    return {"flops_per_s": best, "last_flops_per_s": rates[-1], "side": device.square}


def copies(bench: Bench) -> Json:
    """The best rate of a large copy, read and written bytes."""
    return {"bytes_per_s": devices.bandwidth_ceiling(bench.device, 16)}
