"""How far are we from transformers? The largest differences, in fp32 on the CPU.

    python benchmarks/parity.py

Compares the outputs of minibert and transformers for the packaged real checkpoint and for random
models of bert-base-cased's full shape, on a ragged batch of pairs. Needs
`pip install -e '.[test]'`.
"""

import torch
import transformers

import minibert
from minibert.hub import find_folder
from minibert.weights import from_hf

TEXTS = ["A short text.", "This was beyond incredible", "Unaffordable, naïve, 100% 日本語! " * 8]
PAIRS = ["And its pair, which is somewhat longer than the text itself.", "No.", "?"]


def difference(
    ours: minibert.BertModel, theirs: torch.nn.Module, batch: dict[str, torch.Tensor]
) -> tuple[float, float]:
    """(largest difference of last_hidden_state at real tokens, largest absolute value)."""
    with torch.inference_mode():
        mine = ours.eval()(**batch).last_hidden_state
        reference = theirs.eval()(**batch).last_hidden_state
    real = batch["attention_mask"].bool()
    return (mine - reference)[real].abs().max().item(), reference[real].abs().max().item()


def main() -> None:
    transformers.utils.logging.disable_progress_bar()
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, fp32, CPU")
    folder = find_folder("minilm-l6")
    batch = minibert.WordPieceTokenizer.from_pretrained(folder)(TEXTS, pairs=PAIRS)
    ours = minibert.BertModel.from_pretrained(folder)
    miss, size = difference(ours, transformers.AutoModel.from_pretrained(folder), batch)
    print(f"minilm-l6: {miss:.1e} (values up to {size:.1f})")
    for spread in (0.02, 0.2):
        torch.manual_seed(0)
        config = transformers.BertConfig(vocab_size=28996, initializer_range=spread)
        theirs = transformers.BertModel(config)
        for parameter in theirs.parameters():
            if parameter.ndim == 1:
                parameter.data += torch.randn_like(parameter) * spread
        ours = minibert.BertModel(minibert.BertConfig(initializer_range=spread))
        shapes = {name: p.shape for name, p in ours.named_parameters()}
        ours.load_state_dict(from_hf(theirs.state_dict(), shapes, "reference")[0])
        small = {**batch, "input_ids": batch["input_ids"] % 28996}
        miss, size = difference(ours, theirs, small)
        with torch.inference_mode():
            real = batch["attention_mask"].bool()
            sdpa = theirs(**small).last_hidden_state[real]
            theirs.set_attn_implementation("eager")
            own = (theirs(**small).last_hidden_state[real] - sdpa).abs().max().item()
            exact = (theirs.double()(**small).last_hidden_state[real] - sdpa).abs().max().item()
        print(
            f"bert-base-cased shape, random weights, initializer_range {spread}: {miss:.1e} "
            f"(values up to {size:.1f}; for scale, transformers' eager to its own sdpa attention "
            f"{own:.1e}, its fp32 to its fp64 {exact:.1e})"
        )


if __name__ == "__main__":
    main()
