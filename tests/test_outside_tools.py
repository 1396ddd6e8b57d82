"""Tools that know nothing of minibert: adapters, attribution, another's training loop, ONNX."""

import pytest
import torch
import transformers
from torch import nn

import minibert
from minibert.engine.explaining import explainable
from tests.conftest import hf_model, ours_from, ragged_batch, small_model
from tests.families import new_reference

BATCH, LABELS = ragged_batch([7, 3, 5]), torch.tensor([0, 1, 0])
pytestmark = pytest.mark.filterwarnings("ignore")  # theirs, of what is deprecated


# --- peft -----------------------------------------------------------------------------------------


def adapted(model, **settings):
    """The model with LoRA on its attention, after a step that trains the adapters and the head."""
    peft = pytest.importorskip("peft")
    settings = {"r": 4, "modules_to_save": ["classifier"], **settings}
    places = ["query_key_value", "attention.output"]
    adapted = peft.get_peft_model(model, peft.LoraConfig(target_modules=places, **settings))
    learning = [parameter for parameter in adapted.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(learning, lr=1.0)
    for _ in range(2):  # in the first LoRA's second matrix is still zero, and its first learns not
        optimizer.zero_grad()
        adapted(**BATCH, labels=LABELS).loss.backward()
        optimizer.step()
    return adapted.eval()


@pytest.mark.parametrize("task", ["SEQ_CLS", pytest.param(None, marks=pytest.mark.slow)])
def test_lora_learns_and_once_merged_the_model_is_ours_again(task, tmp_path):
    model = small_model()
    frozen = model.bert.embeddings.token.weight.detach().clone()
    lora = adapted(model, task_type=task)
    with torch.inference_mode():
        wanted = lora(**BATCH).logits
        assert (wanted - small_model()(**BATCH).logits).abs().max() > 1e-3
        merged = lora.merge_and_unload()
        assert torch.equal(merged.bert.embeddings.token.weight, frozen)
        merged.save_pretrained(tmp_path / "model")
        again = minibert.BertForClassification.from_pretrained(tmp_path / "model")
        for found in (merged, again, minibert.optimize(merged)):
            torch.testing.assert_close(found(**BATCH).logits, wanted, atol=1e-5, rtol=0)


def test_adapters_are_kept_by_peft_and_not_saved_as_a_model(tmp_path):
    model = small_model()
    lora = adapted(model)
    with pytest.raises(ValueError, match="merge adapters"):
        model.save_pretrained(tmp_path / "model")
    lora.save_pretrained(tmp_path / "adapters")
    peft = pytest.importorskip("peft")
    again = peft.PeftModel.from_pretrained(small_model(), tmp_path / "adapters").eval()
    assert torch.equal(again(**BATCH).logits, lora(**BATCH).logits)


# --- captum ---------------------------------------------------------------------------------------

LAYERS = {
    "embeddings": lambda model: model.embeddings,
    "tokens": lambda model: (
        getattr(model.embeddings, "token", None) or model.embeddings.word_embeddings
    ),
}


@pytest.fixture(scope="module", params=["bert", "roberta"])
def both(request):
    """transformers' classifier, and ours with its weights, for attributions."""
    kind = "BertForSequenceClassification"
    theirs = hf_model(kind) if request.param == "bert" else new_reference(request.param, kind)
    return theirs, explainable(ours_from(theirs))


def attributions(model, kind, layer, lengths, **settings):
    """By captum, of the second label, at a layer: (B, T, C), zeros at padding."""
    captum = pytest.importorskip("captum.attr")
    batch = ragged_batch(lengths)
    ids, mask = batch["input_ids"].clamp(min=1), batch["attention_mask"]
    if settings:
        settings["baselines"] = torch.where(mask.bool(), 3, ids)

    def logits(ids, mask):
        return model(ids, attention_mask=mask).logits

    body = getattr(model, model.base_model_prefix) if hasattr(model, "dtype") else model.bert
    tool = getattr(captum, kind)(logits, LAYERS[layer](body))
    found = tool.attribute(ids, additional_forward_args=(mask,), target=1, **settings)
    return found * mask[..., None]


@pytest.mark.parametrize(
    "lengths", [[3, 7, 5], *(pytest.param(n, marks=pytest.mark.slow) for n in ([7], [6, 6]))]
)
@pytest.mark.parametrize("layer", LAYERS)
def test_attributions_are_those_of_the_padded_model(both, layer, lengths):
    settings = {"n_steps": 5}
    cases = [("LayerIntegratedGradients", settings), ("LayerGradientXActivation", {})]
    cases.append(("LayerIntegratedGradients", {**settings, "internal_batch_size": 4}))
    for kind, settings in cases:
        theirs, ours = (attributions(model, kind, layer, lengths, **settings) for model in both)
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
        assert theirs.abs().max() > 0.01


def test_an_explainable_model_computes_the_same():
    model, plain = explainable(small_model()), small_model()
    found, wanted = (m(**BATCH, output_hidden_states=True) for m in (model, plain))
    assert torch.equal(found.logits, wanted.logits)
    assert all(map(torch.equal, found.hidden_states, wanted.hidden_states))
    with pytest.raises(ValueError, match="explainable takes a model .* not a Linear"):
        explainable(nn.Linear(2, 2))


def test_vectors_in_place_of_ids_are_refused_with_what_to_do():
    model, vectors = small_model(), torch.zeros(1, 3, 48)
    with pytest.raises(ValueError, match="takes input_ids.*explainable"):
        model(inputs_embeds=vectors)
    assert torch.equal(
        model(**BATCH, inputs_embeds=None, return_dict=True).logits, model(**BATCH).logits
    )


# --- transformers' Trainer ------------------------------------------------------------------------


class ForTrainer(nn.Module):
    """Outputs as a dict, which is what the Trainer reads, and no config that it would write to."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, token_type_ids=None, attention_mask=None, labels=None):
        rest = {"token_type_ids": token_type_ids, "attention_mask": attention_mask}
        output = self.model(input_ids, **rest, labels=labels)
        return {name: x for name, x in output._asdict().items() if x is not None}


@pytest.mark.slow
def test_the_trainer_of_transformers_trains_and_keeps_the_best(tokenizer, minilm, tmp_path):
    texts = [("a fine film", 1), ("no good film at all", 0)] * 4
    rows = [{"input_ids": tokenizer.encode(text).ids, "labels": label} for text, label in texts]
    collator = transformers.DataCollatorWithPadding(
        transformers.AutoTokenizer.from_pretrained(minilm)
    )
    settings = transformers.TrainingArguments(
        output_dir=str(tmp_path / "run"),
        num_train_epochs=20,
        per_device_train_batch_size=4,
        learning_rate=1e-2,
        eval_strategy="steps",
        eval_steps=10,
        save_steps=10,
        save_total_limit=1,
        load_best_model_at_end=True,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model = small_model(**still, initializer_range=0.02)
    trainer = transformers.Trainer(
        ForTrainer(model),
        settings,
        train_dataset=rows,
        eval_dataset=rows,
        data_collator=collator,
        compute_metrics=lambda p: {"accuracy": (p.predictions.argmax(1) == p.label_ids).mean()},
    )
    before = trainer.evaluate()["eval_loss"]
    trainer.train()
    after = trainer.evaluate()
    assert after["eval_loss"] < before and after["eval_accuracy"] == 1
    model.save_pretrained(tmp_path / "model")
    batch = tokenizer([text for text, _ in texts])
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "model")
    with torch.inference_mode():
        wanted = theirs.eval()(**batch).logits
    torch.testing.assert_close(trainer.predict(rows).predictions, wanted.numpy(), atol=1e-5, rtol=0)


# --- ONNX -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_saved_model_is_exported_by_way_of_transformers(tmp_path):
    for name in ("onnx", "onnxscript"):
        pytest.importorskip(name)
    onnxruntime = pytest.importorskip("onnxruntime")
    model = small_model()
    model.save_pretrained(tmp_path / "model")
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "model")
    batch = ragged_batch([7, 3, 5], pairs=True)
    shapes = {name: {0: "batch", 1: "length"} for name in batch}
    file = str(tmp_path / "model.onnx")
    torch.onnx.export(theirs.eval(), (), file, kwargs=batch, dynamic_shapes=shapes, dynamo=True)
    session = onnxruntime.InferenceSession(file)
    for lengths in ([7, 3, 5], [9, 2], [1], [30, 4, 30, 8]):
        batch = ragged_batch(lengths, pairs=True)
        found = session.run(None, {name: tensor.numpy() for name, tensor in batch.items()})
        with torch.inference_mode():
            wanted = model(**batch).logits
        torch.testing.assert_close(torch.from_numpy(found[0]), wanted, atol=1e-4, rtol=0)
