"""Follow one sentence from text to label, through the steps of the book.

    python examples/trace.py
    python examples/trace.py "Hello there" --model output/finetuned

It calls the modules of the model one at a time, and at the end checks that the logits are the
model's own. Read it next to minibert/, in the order in which it prints.
"""

import argparse
from typing import cast

# First, so that Ctrl-C while it imports PyTorch ends this in silence.
import minibert  # isort: skip
import torch

from minibert._programs import run_program
from minibert.attention import readable_attention
from minibert.encoder import EncoderLayer
from minibert.packing import Packing


def show(where: str, name: str, tensor: torch.Tensor) -> None:
    """Print a tensor's place in the book, name, shape and first few values."""
    values = " ".join(f"{value:.4g}" for value in tensor.flatten()[:4].tolist())
    print(f"  {where:<14} {name:<34} {str(tuple(tensor.shape)):<18} {values} ...")


@torch.inference_mode()
def trace(text: str, name: str) -> None:
    torch.manual_seed(0)  # a checkpoint without a head gets a random one
    family = minibert.BertConfig.from_pretrained(name).variant.name
    if family != "BERT":
        raise ValueError(
            f"{name} is of the family {family}, and the trace follows BERT, chapter by chapter; "
            f"minibert/variants/ says what {family} changes in it"
        )
    tokenizer = minibert.WordPieceTokenizer.from_pretrained(name, backend="python")
    model = minibert.BertForClassification.from_pretrained(name)
    bert = model.bert

    print(f"\n1. wordpiece.py: {text!r} is cut into pieces of the vocabulary")
    longest = model.config.max_position_embeddings
    row = tokenizer.encode(text, max_length=longest)
    print(f"  {'token':<14} {'id':>6}  {'segment':>7}  {'text':<14} word")
    for token, token_id, segment, (start, end), word in zip(
        row.tokens, row.ids, row.type_ids, row.offsets, row.word_ids, strict=True
    ):
        print(f"  {token:<14} {token_id:>6}  {segment:>7}  {text[start:end]:<14} {word}")

    print("\n2. tokenizer.py: the batch, B = 3: the text and two others, so that there is padding")
    batch = tokenizer([text, "A shorter text.", "Short."], max_length=longest)
    for key, tensor in batch.items():
        show("tokenizer.py", key, tensor)

    print("\n3. packing.py: the real tokens of all rows in one list, longest row first")
    packing = Packing(batch["attention_mask"].bool())
    show("packing.py", "row of each token", packing.row)
    show("packing.py", "column of each token = position", packing.column)
    show("packing.py", "index of each [CLS]", packing.first)
    for group in packing.groups:
        padding = group.rows * group.width - (group.stop - group.start)
        print(f"  a group of {group.rows} row(s) of {group.width} slots, {padding} of them padding")

    print("\n4. embeddings.py: token + segment + position, then LayerNorm")
    tokens = packing.pack(batch["input_ids"])
    segments = packing.pack(batch["token_type_ids"])
    show("embeddings.py", "token vectors", bert.embeddings.token(tokens))
    assert bert.embeddings.segment is not None  # in BERT
    show("embeddings.py", "segment vectors", bert.embeddings.segment(segments))
    show("embeddings.py", "position vectors", bert.embeddings.position(packing.column))
    x = bert.embeddings(tokens, packing.column, segments)
    show("embeddings.py", "sum, normalised", x)

    group = next(g for g in packing.groups if 0 in packing.row[g.start : g.stop])
    print("\n5. attention.py: the first layer, in the group that holds our sentence, step by step")
    layers = cast(list[EncoderLayer], list(bert.encoder.layers))
    qkv = layers[0].attention.query_key_value(x)
    show("linear.py", "query, key, value of all heads", qkv)
    heads, size = model.config.num_attention_heads, model.config.head_size
    parts = group.pad(qkv).view(group.rows, group.width, 3, heads, size)
    query, key, value = parts.permute(2, 0, 3, 1, 4)
    show("attention.py", "query (G, H, S, D)", query)
    mask = None if group.mask is None else group.mask[:, None, None, :]
    context, weights = readable_attention(query, key, value, mask)
    show("attention.py", "weights (G, H, S, S)", weights)
    show("attention.py", "context (G, H, S, D)", context)
    place = packing.row[group.start : group.stop].unique_consecutive().tolist().index(0)
    most = weights[place, :, 0].mean(dim=0).topk(min(3, len(row.ids))).indices.tolist()
    print("  [CLS], averaged over heads, attends most to", [row.tokens[slot] for slot in most])

    print("\n6. encoder.py: attention and feed-forward, each with residual and LayerNorm")
    for number, layer in enumerate(layers, 1):
        x = layer.attention_norm(x + layer.attention(x, packing))
        x = layer.feed_forward_norm(x + layer.feed_forward(x))
        show("encoder.py", f"after layer {number}", x)

    print("\n7. model.py: the pooler reads [CLS]")
    pooled = bert.pool(x[packing.first], packing)
    show("model.py", "pooled", pooled)

    print("\n8. heads.py: one score a label")
    logits = model.classifier(pooled)
    show("heads.py", "logits", logits)
    probabilities = logits.softmax(dim=-1)
    show("heads.py", "probabilities", probabilities)
    best = int(probabilities[0].argmax())
    print(f"\n{text!r} -> {model.config.labels[best]} ({probabilities[0, best]:.3f})")
    if model.load_report and model.load_report.newly_initialised:
        print("(the head of this checkpoint is new and untrained, so the label means nothing yet)")

    difference = (model(**batch).logits - logits).abs().max().item()
    print(f"largest difference to the model called as a whole: {difference:.1e}")
    if difference > 1e-5:
        raise ValueError("the trace has strayed from the model")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("text", nargs="?", default="An unaffordable, naïve joy!")
    parser.add_argument("--model", default="minilm-l6", help="folder, alias or hub name")
    arguments = parser.parse_args()
    trace(arguments.text, arguments.model)


if __name__ == "__main__":
    run_program(main)
