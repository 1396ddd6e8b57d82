"""Who trains in `finetune.py`: minibert, and two ways to train with transformers.

Each works in a process of its own (see `arena.py`). Ours use only what every checkout has: public
names, the training loop and its batches.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from arena import BESIDE, Turns

LR, DECAY, CLIP, WARMUP = 5e-5, 0.01, 1.0, 0.06
MAX_LENGTH = 128  # tokens a text is cut to
PLAIN = "transformers fp32"  # what the others are compared with
WITHOUT = " without "  # in a name, before a class of training/speed.py that is left out

Wait = Callable[[], None]  # what a contender calls before each step


@dataclass(frozen=True)
class Setup:
    """What a contender is given. folder: model and tokenizer; labels: numbers of classes; seed: the
    order of the examples; device: "cpu" or "cuda"."""

    folder: Path
    texts: list[str]
    labels: list[int]
    batch_size: int
    epochs: int = 1
    seed: int = 0
    device: str = "cpu"
    lr: float = LR

    @property
    def on_gpu(self) -> bool:
        return self.device != "cpu"

    @property
    def workers(self) -> int:
        """Processes that make batches for transformers: a GPU would wait for them, a CPU has no
        cores left."""
        return 2 if self.on_gpu else 0

    @property
    def steps(self) -> int:
        return -(-len(self.texts) // self.batch_size) * self.epochs

    @property
    def warmup_steps(self) -> int:
        return round(self.steps * WARMUP)

    def examples(self) -> Any:
        """Tokenized, as minibert takes them."""
        from minibert import Tokenizer
        from minibert.training.batches import Examples

        tokenizer = Tokenizer.from_pretrained(self.folder)
        return Examples(tokenizer.encode_batch(self.texts, MAX_LENGTH), self.labels)

    def features(self, examples: Any) -> Any:
        """Tokenized, as transformers' collators take them."""
        return [
            {"input_ids": row.ids, "token_type_ids": row.type_ids, "label": label}
            for row, label in zip(examples.rows, examples.labels, strict=True)
        ]

    def task(self, examples: Any, wait: Wait = lambda: None) -> Any:
        """Classification that waits before each step: the loop asks for a batch once a step."""
        from minibert import Tokenizer
        from minibert.training.batches import Classification

        class Waiting(Classification):
            def batch(self, step: int) -> Any:
                wait()
                return super().batch(step)

        tokenizer = Tokenizer.from_pretrained(self.folder)
        return Waiting(examples, tokenizer, self.batch_size, self.seed)


class Trained(NamedTuple):
    model: Any
    losses: list[float]


Contender = Callable[[Setup, Wait], Trained]


def contend(turns: Turns, name: str, setup: Setup) -> None:
    """Be the contender of this name; its works are numbers of steps."""
    warnings.simplefilter("ignore")
    left = 0

    def wait() -> None:
        nonlocal left
        if left == 0:
            left = turns.next()
        left -= 1

    name, _, left_out = name.partition(WITHOUT)
    with without(left_out) if left_out else nullcontext():
        CONTENDERS[name](setup, wait)


@contextmanager
def without(part: str) -> Iterator[None]:
    """Inside, training leaves one of its devices out: a class of minibert/training/speed.py."""
    from minibert.training import speed

    exchanged = speed.exchanged

    def others(parts: Any) -> Any:
        return exchanged([(module, to) for module, to in parts if to.__name__ != part])

    with mock.patch.object(speed, "exchanged", others):
        yield


def ours(precision: str) -> Contender:
    def run(setup: Setup, wait: Wait) -> Trained:
        from minibert import BertForClassification
        from minibert.training.loop import Recipe, train

        model = BertForClassification.from_pretrained(setup.folder).to(setup.device)
        recipe = Recipe(
            epochs=setup.epochs,
            lr=setup.lr,
            warmup=WARMUP,
            weight_decay=DECAY,
            clip=CLIP,
            precision=precision,
            seed=setup.seed,
        )
        history = train(model, setup.task(setup.examples(), wait), recipe)
        return Trained(model, history.losses)

    return run


def plain_loop(bf16: bool) -> Contender:
    """What a careful user of transformers writes."""

    def run(setup: Setup, wait: Wait) -> Trained:
        import torch
        from torch.utils.data import DataLoader
        from transformers import get_linear_schedule_with_warmup

        torch.manual_seed(setup.seed)
        model, collate = load_transformers(setup.folder)
        examples = setup.examples()
        task = setup.task(examples)
        order = [[example.index for example in task.batch(s)] for s in range(setup.steps)]
        model.to(setup.device)
        batches = iter(
            DataLoader(
                setup.features(examples),
                batch_sampler=order,
                collate_fn=collate,
                num_workers=setup.workers,
                pin_memory=setup.on_gpu,
            )
        )
        spared = [p for name, p in model.named_parameters() if is_spared(name)]
        decayed = [p for name, p in model.named_parameters() if not is_spared(name)]
        optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": DECAY}, {"params": spared, "weight_decay": 0.0}],
            lr=setup.lr,
            fused=True,
        )
        schedule = get_linear_schedule_with_warmup(optimizer, setup.warmup_steps, setup.steps)
        losses = []
        for _ in range(setup.steps):
            wait()
            batch = {
                name: tensor.to(setup.device, non_blocking=True)
                for name, tensor in next(batches).items()
            }
            with torch.autocast(setup.device, torch.bfloat16, enabled=bf16):
                loss = model(**batch).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            losses.append(loss.detach())  # to ask for its value would wait for a GPU
        return Trained(model, [loss.item() for loss in losses])

    return run


def load_transformers(folder: Path) -> tuple[Any, Any]:
    """(model in training mode, collator), both as they come."""
    import transformers

    transformers.utils.logging.disable_progress_bar()
    model = transformers.BertForSequenceClassification.from_pretrained(folder).train()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return model, transformers.DataCollatorWithPadding(tokenizer)


def is_spared(name: str) -> bool:
    """Whether weight decay leaves it alone, by its name in transformers."""
    return "bias" in name or "LayerNorm" in name


def trainer(setup: Setup, wait: Wait) -> Trained:
    """The Trainer, which fetches batches in its own way, so waiting is a callback's work."""
    import transformers

    class Waiting(transformers.TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            wait()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            wait()

    examples = setup.examples()
    features, task = setup.features(examples), setup.task(examples)
    in_order = [features[e.index] for step in range(setup.steps) for e in task.batch(step)]
    model, collate = load_transformers(setup.folder)
    with tempfile.TemporaryDirectory() as folder:
        arguments = transformers.TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=setup.batch_size,
            num_train_epochs=1,  # of the list above
            learning_rate=setup.lr,
            weight_decay=DECAY,
            max_grad_norm=CLIP,
            lr_scheduler_type="linear",
            warmup_steps=setup.warmup_steps,
            train_sampling_strategy="sequential",
            seed=setup.seed,
            use_cpu=not setup.on_gpu,
            bf16=setup.on_gpu,  # on a CPU the comparison is with fp32
            dataloader_num_workers=setup.workers,
            dataloader_pin_memory=setup.on_gpu,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        transformers.Trainer(
            model, arguments, collate, train_dataset=in_order, callbacks=[Waiting()]
        ).train()
    return Trained(model, [])


CONTENDERS: dict[str, Contender] = {
    "minibert fp32": ours("fp32"),
    PLAIN: plain_loop(bf16=False),
    "transformers Trainer": trainer,
    "minibert bf16": ours("bf16"),
    "transformers bf16": plain_loop(bf16=True),
}


def ours_of(name: str) -> str:
    """The contender itself, under the name it has in this checkout."""
    return name.replace(BESIDE, "minibert ") if name.startswith(BESIDE) else name
