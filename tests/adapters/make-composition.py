"""Compositions of adapters as the package `adapters` (adapter-hub) computes them, in our files: logits, and gradients of what is trained.
  python make-composition.py [CASE …]   (writes composition/ beside itself over the bases in golden/; needs adapters 1.3 and its transformers)"""
import json
import shutil
import sys
import warnings
from pathlib import Path

import adapters
import torch
from adapters import AutoAdapterModel, SeqBnConfig, SeqBnInvConfig
from adapters.composition import Fuse, Stack
from safetensors.torch import save_file
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification, LlamaForCausalLM

warnings.filterwarnings("ignore")
here = Path(__file__).parent
KINDS = {"bert": BertForSequenceClassification, "llama": LlamaForCausalLM}
HEADS = {"bert": "sequence-classification", "llama": "causal-lm", "bert-masked": "masked-lm"}
# The published Pfeiffer adapter adds the norm before the adapter in a BERT; ours reads what the last linear layer gives.
bottleneck = lambda size: SeqBnConfig(reduction_factor=24 / size, original_ln_before=False, non_linearity="relu")
ours = {"type": "pfeiffer", "activation": "relu"}
# MAD-X: an invertible adapter at the embeddings too. Halves of 12 units have couplings of 4.
madx = lambda size: SeqBnInvConfig(reduction_factor=24 / size, original_ln_before=False, non_linearity="silu", inv_adapter_reduction_factor=3)
ours_madx = {"type": "pfeiffer", "activation": "silu", "invertible": True, "invertibleReduction": 3}


def layer_of(key):
    return next(int(part) for part in key.split(".") if part.isdigit())


def named(model, name):
    """Tensors of a bottleneck by our paths, as (path, parameter)."""
    for key, p in model.named_parameters():
        if f".adapters.{name}." in key and "adapter_down" in key or f".adapters.{name}.adapter_up" in key:
            part = "down" if "adapter_down" in key else "up"
            yield f"body.layers.{layer_of(key)}.mlp.downProj.adapter.{part}.{key.rsplit('.', 1)[1]}", p
        elif f"invertible_adapters.{name}." in key:
            coupling, place, field = key.rsplit(".", 3)[1:]
            half = {"F": "first", "G": "second"}[coupling]
            yield f"body.dropout.adapter.{half}.{'down' if place == '0' else 'up'}.{field}", p


def write(folder, kind, config, tensors, head):
    folder.mkdir(parents=True)
    base = "../" * len(folder.relative_to(here).parts) + f"golden/bases/{kind}"
    fields = {"base_model_name_or_path": base, "peft_type": f"TUNESMITH_{config['type'].upper()}", "inference_mode": True, "tunesmith": config}
    (folder / "adapter_config.json").write_text(json.dumps(fields, indent=2))
    extra = {"type": config["type"], "config": config, "head": head, "headOptions": {"labels": [f"LABEL_{i}" for i in range(3)]} if head == "sequence-classification" else {}}
    (folder / "tunesmith.json").write_text(json.dumps(extra, indent=2))
    save_file({path: p.detach().contiguous() for path, p in tensors}, folder / "adapter_model.safetensors")


def write_stack(folder, kind, names):
    fields = {"base_model_name_or_path": f"../../golden/bases/{kind}", "peft_type": "TUNESMITH_STACK", "inference_mode": True, "tunesmith": {"adapters": names}}
    (folder / "adapter_config.json").write_text(json.dumps(fields, indent=2))


def opened(kind):
    torch.manual_seed(3)
    model = KINDS[kind].from_pretrained(here / "golden" / "bases" / kind)
    adapters.init(model)
    return model


def stir(model, has):
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for key, p in model.named_parameters():
            if has(key):
                p.add_(torch.randn(p.shape, generator=generator) * 0.3)


def measure(model, folder, tensors, more={}):
    """Logits, and gradients of tensors by their names."""
    ids = torch.randint(2, 61, (2, 7), generator=torch.Generator().manual_seed(1))
    mask = torch.ones(2, 7, dtype=torch.long)
    mask[1, 5:] = 0
    model.eval()
    logits = model(input_ids=ids, attention_mask=mask).logits
    weights = torch.randn(logits.shape, generator=torch.Generator().manual_seed(4))
    if logits.ndim == 3:
        weights = weights * mask[..., None]
    (logits * weights).sum().backward()
    save_file({"ids": ids, "mask": mask, "logits": logits.detach().contiguous(), "weights": weights, **more,
               **{f"gradient.{path}": p.grad for path, p in tensors}}, folder / "expected.safetensors")


def stack(kind, folder):
    model = opened(kind)
    sizes = {"first": 4, "second": 6}
    for name, size in sizes.items():
        model.add_adapter(name, config=bottleneck(size))
    stir(model, lambda key: ".adapters." in key)
    model.train_adapter(Stack("first", "second"))
    model.set_active_adapters(Stack("first", "second"))
    for key, p in model.named_parameters():
        p.requires_grad_(".adapters.second." in key)
    head = "causal-lm" if kind == "llama" else "sequence-classification"
    for name, size in sizes.items():
        write(folder / name, kind, {**ours, "size": size, "scale": 1, "trainHead": False}, named(model, name), head)
    write_stack(folder, kind, list(sizes))
    measure(model, folder, list(named(model, "second")))


def fuse(kind, folder):
    model = opened(kind)
    sizes = {"first": 4, "second": 6, "third": 3}
    for name, size in sizes.items():
        model.add_adapter(name, config=bottleneck(size))
    together = Fuse(*sizes)
    model.add_adapter_fusion(together, "dynamic")
    stir(model, lambda key: ".adapters." in key or "fusion" in key)
    model.train_adapter_fusion(together)
    model.set_active_adapters(together)
    head = "causal-lm" if kind == "llama" else "sequence-classification"
    for name, size in sizes.items():
        write(folder / name, kind, {**ours, "size": size, "scale": 1, "trainHead": False}, named(model, name), head)
    layers = [(f"body.layers.{layer_of(key)}.mlp.downProj.adapter.{'.'.join(key.rsplit('.', 2)[1:])}", p)
              for key, p in model.named_parameters() if "adapter_fusion_layer" in key]
    write(folder / "fusion", kind, {"type": "fusion", "value": True, "regularization": 0.01, "trainHead": False}, layers, head)
    write_stack(folder, kind, [*sizes, "fusion"])
    # The term of the loss, beside the gradients of the logits.
    regularization = model.get_fusion_regularization_loss().detach()
    measure(model, folder, layers, {"regularization": regularization})


def masked_base():
    """A BERT with its language modelling head."""
    folder = here / "golden" / "bases" / "bert-masked"
    if not folder.exists():
        torch.manual_seed(7)
        fields = json.loads((here / "golden" / "bases" / "bert" / "config.json").read_text())
        model = BertForMaskedLM(BertConfig(**{key: value for key, value in fields.items() if key not in ("id2label", "label2id", "architectures")}))
        with torch.no_grad():
            for p in model.parameters():
                p.add_(torch.randn(p.shape) * 0.1)
        model.save_pretrained(folder)
        (folder / "generation_config.json").unlink(missing_ok=True)


def with_language_head(kind):
    """Only heads of the package itself apply the inverse, before their last layer."""
    torch.manual_seed(3)
    base = here / "golden" / "bases" / kind
    plain = (BertForMaskedLM if kind == "bert-masked" else LlamaForCausalLM).from_pretrained(base)
    model = AutoAdapterModel.from_pretrained(base)
    for head in list(model.heads):
        model.delete_head(head)
    if kind == "bert-masked":
        model.add_masked_lm_head("words")
    else:
        model.add_causal_lm_head("words", layers=1)
    layers = model.heads["words"]
    with torch.no_grad():
        if kind == "bert-masked":
            transform = plain.cls.predictions.transform
            layers[0].load_state_dict(transform.dense.state_dict())
            layers[2].load_state_dict(transform.LayerNorm.state_dict())
            assert torch.equal(plain.cls.predictions.decoder.weight, model.get_input_embeddings().weight)
        output = plain.get_output_embeddings()
        layers[-1].weight.copy_(output.weight)
        layers[-1].bias.copy_(output.bias if output.bias is not None else 0)
    model.active_head = "words"
    ids = torch.randint(2, 61, (2, 7), generator=torch.Generator().manual_seed(1))
    assert torch.allclose(model.eval()(input_ids=ids).logits, plain.eval()(input_ids=ids).logits, atol=1e-6)
    return model


def language(kind, folder):
    """A MAD-X adapter that is trained."""
    model = with_language_head(kind)
    model.add_adapter("lang", config=madx(4))
    stir(model, lambda key: "adapters." in key)
    model.train_adapter("lang")
    model.set_active_adapters("lang")
    model.active_head = "words"
    tensors = list(named(model, "lang"))
    write(folder, kind, {**ours_madx, "size": 4, "scale": 1, "trainHead": False}, tensors, HEADS[kind])
    measure(model, folder, tensors)


def madx_stack(kind, folder):
    """A task adapter on a frozen MAD-X adapter."""
    model = with_language_head(kind) if kind == "llama" else opened(kind)
    sizes = {"lang": 4, "task": 6}
    model.add_adapter("lang", config=madx(4))
    model.add_adapter("task", config=bottleneck(6))
    stir(model, lambda key: "adapters." in key)
    together = Stack("lang", "task")
    model.train_adapter(together)
    model.set_active_adapters(together)
    if kind == "llama":
        model.active_head = "words"
    for key, p in model.named_parameters():
        p.requires_grad_(".adapters.task." in key)
    write(folder / "lang", kind, {**ours_madx, "size": 4, "scale": 1, "trainHead": False}, named(model, "lang"), HEADS[kind])
    write(folder / "task", kind, {**ours, "size": 6, "scale": 1, "trainHead": False}, named(model, "task"), HEADS[kind])
    write_stack(folder, kind, list(sizes))
    measure(model, folder, list(named(model, "task")))


masked_base()
CASES = {f"{kind}-{make.__name__.replace('_', '-')}": (make, kind) for make in (stack, fuse, madx_stack) for kind in KINDS}
CASES |= {f"{kind}-language": (language, kind) for kind in ("bert-masked", "llama")}
for case, (make, kind) in CASES.items():
    if len(sys.argv) > 1 and case not in sys.argv[1:]:
        continue
    folder = here / "composition" / case
    shutil.rmtree(folder, ignore_errors=True)
    make(kind, folder)
