"""AdamW and the learning rate's rise and fall.

The recipe of BERT fine-tuning: Devlin et al. 2019, appendix A.3, with the bias correction that the
reference code left out and whose absence makes small data sets fail at random (Mosbach et al. 2021,
arXiv 2006.04884; Zhang et al. 2021, arXiv 2006.05987).
"""

from __future__ import annotations

import re

from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from minibert._checks import check_has_weights
from minibert.config import BertConfig
from minibert.model import BertModel


def make_optimizer(
    model: nn.Module, lr: float, weight_decay: float, layer_decay: float = 1.0
) -> AdamW:
    """PyTorch's AdamW over all trainable parameters. Raises `ValueError` where one cannot be.

    Biases and LayerNorm are not decayed: they have one dimension, and there is no reason to pull an
    offset or a scale towards zero. layer_decay: see `depths`.
    """
    groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
    below: dict[str, int] = {}
    if layer_decay != 1.0:
        check_own_layers(_config(model))
        below = depths(model)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            check_has_weights(parameter.device)
            if parameter.is_inference():
                raise ValueError(
                    f"{name} was made in torch.inference_mode(), so PyTorch cannot train it; make "
                    "the model outside of it, or train a copy: copy.deepcopy(model)"
                )
            depth = below.get(name, 0)
            groups.setdefault((depth, parameter.ndim > 1), []).append(parameter)
    if not groups:
        raise ValueError(
            "no weight of the model requires gradients, so there is nothing to train; "
            "model.requires_grad_(True) frees them all"
        )
    return AdamW(
        [
            {
                "params": parameters,
                "weight_decay": weight_decay if decayed else 0.0,
                "lr": lr * layer_decay**depth,
            }
            for (depth, decayed), parameters in groups.items()
        ],
        betas=(0.9, 0.999),
        eps=1e-8,
        fused=True,
    )


def depths(model: nn.Module) -> dict[str, int]:
    """How far each parameter is below the head: 0 in head and pooler, 1 in the last layer, and one
    more in the embeddings, the product that widens them included, than in the first layer.

    Layer-wise decay multiplies the learning rate by a factor below 1 for each step down. The lower
    layers hold what is true of language at large, and a small data set should not rewrite it
    (Howard & Ruder 2018, arXiv 1801.06146, "discriminative fine-tuning").
    """
    config = _config(model)
    layers = 0 if config is None else config.layers_with_weights
    found = {}
    for name, _ in model.named_parameters():
        layer = re.search(r"\bencoder\.layers\.(\d+)\.", name)
        if layer:
            found[name] = layers - int(layer[1])
        else:
            found[name] = layers + 1 if re.search(r"\bembeddings\.", name) else 0
    return found


def _config(model: nn.Module) -> BertConfig | None:
    """The shape of the encoder in a model, if there is one."""
    return next((part.config for part in model.modules() if isinstance(part, BertModel)), None)


def check_own_layers(config: BertConfig | None) -> None:
    """Raise `ValueError` for a shape whose layers share weights, so that none learns by itself."""
    if config is not None and config.layers_with_weights < config.num_hidden_layers:
        raise ValueError(
            f"the model's {config.num_hidden_layers} layers share the weights of "
            f"{config.layers_with_weights}, as {config.variant.name}'s do, so none can be trained "
            "apart from the others; take trained_layers=None or 0, and layer_decay=1"
        )


def train_only_last(model: nn.Module, layers: int) -> None:
    """Freeze the embeddings and all but the last `layers` layers; the head stays trainable.

    Raises `ValueError` where layers share weights, unless `layers` is 0.
    """
    if layers:
        check_own_layers(_config(model))
    below = depths(model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(below[name] <= layers)


def warmup_linear(optimizer: AdamW, steps: int, warmup: float) -> LambdaLR:
    """Raise the rate from zero over the first `warmup` share of the steps, then lower it to zero.

    Adam's estimates rest on few gradients at first, and large steps then do lasting damage. With
    warmup_steps = W the rate of step s, counted from 0, is lr * s / W, then
    lr * (steps - s) / (steps - W). So the very first step changes nothing, as in transformers.
    """
    warmup_steps = round(steps * warmup)

    def factor(step: int) -> float:
        if step < warmup_steps:
            return step / warmup_steps
        return max(0.0, (steps - step) / max(1, steps - warmup_steps))

    return LambdaLR(optimizer, factor)
