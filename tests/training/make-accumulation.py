"""Makes golden/accumulation.json: loss and gradients of one global batch whose micro-batches have unequal numbers of trained tokens.

    python tests/training/make-accumulation.py

Causal models compute their loss by num_items_in_batch, as in the Trainer of transformers; all others, and all with label smoothing, by
torch's cross_entropy over the whole batch. The bases are those of tests/adapters. Gradients are there as norms, by keys of transformers.
"""

import json
from pathlib import Path

import torch
import transformers

torch.set_num_threads(1)
here = Path(__file__).parent
draw = torch.Generator().manual_seed(5)
ids = lambda count: torch.randint(6, 61, (count,), generator=draw).tolist()
LENGTHS, TARGETS = [3, 14, 5, 9, 2, 11, 7, 4], [5, 2, 8, 3, 1, 6, 2, 4]


def masked(length):
    originals = ids(length)
    positions = sorted(set(torch.randint(0, length, (max(1, length // 3),), generator=draw).tolist()))
    shown = [4 if i in positions else token for i, token in enumerate(originals)]
    return {"ids": shown, "labels": [token if i in positions else -100 for i, token in enumerate(originals)]}


def answer(length):
    tokens, first = ids(length), max(1, length // 3)
    return {"ids": tokens, "labels": [-100] * first + tokens[first:]}


CASES = {
    "gpt2": ("GPT2LMHeadModel", [(lambda tokens: {"ids": tokens, "labels": tokens})(ids(n)) for n in LENGTHS]),
    "llama": ("LlamaForCausalLM", [answer(n) for n in LENGTHS]),
    "bert-masked": ("BertForMaskedLM", [masked(n) for n in LENGTHS]),
    "t5": ("T5ForConditionalGeneration", [{"ids": ids(n), "labels": ids(m)} for n, m in zip(LENGTHS, TARGETS)]),
}


def collate(examples):
    pad = lambda rows, value: torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], True, value)
    return {"input_ids": pad([e["ids"] for e in examples], 0), "labels": pad([e["labels"] for e in examples], -100),
            "attention_mask": pad([[1] * len(e["ids"]) for e in examples], 0)}


def gradients(kind, base, examples, smoothing):
    model = getattr(transformers, kind).from_pretrained(here.parent / "adapters" / "golden" / "bases" / base).eval()  # without dropout
    causal = base in ("gpt2", "llama")
    batch = collate(examples)
    labels = batch["labels"]
    logits = model(**batch).logits if base == "t5" else model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    if causal:
        logits, labels = logits[:, :-1], labels[:, 1:]
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100, label_smoothing=smoothing)
    loss.backward()
    whole = {key: p.grad.clone() for key, p in model.named_parameters()}
    if causal and smoothing == 0:
        model.zero_grad()
        count = (labels != -100).sum()
        accumulated = 0.0
        for at in range(0, len(examples), 2):
            part = model(**collate(examples[at : at + 2]), num_items_in_batch=count).loss
            part.backward()
            accumulated += part.item()
        assert abs(accumulated - loss.item()) < 1e-5, (accumulated, loss.item())
        for key, p in model.named_parameters():
            assert torch.allclose(p.grad, whole[key], atol=1e-6, rtol=1e-4), key
    return {"smoothing": smoothing, "loss": float(f"{loss.item():.8g}"), "norms": {key: float(f"{g.norm().item():.7g}") for key, g in whole.items()}}


golden = {
    base: {"examples": examples, "cases": [gradients(kind, base, examples, share) for share in ([0.0] if base == "bert-masked" else [0.0, 0.1])]}
    for base, (kind, examples) in CASES.items()
}
(here / "golden" / "accumulation.json").write_text(json.dumps(golden) + "\n")
print({base: [case["loss"] for case in entry["cases"]] for base, entry in golden.items()})
