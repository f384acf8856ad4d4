"""Makes golden/distillation.json: loss and gradients of one global batch that is learned from its labels and from a teacher.

    python tests/training/make-distillation.py

Examples are those of golden/accumulation.json; the teacher has the weights of the student times 3. The divergence is torch's kl_div of
logits divided by the temperature, times its square, over the tokens with a label; at temperature 1 it is also compared with that of TRL's
GKDTrainer. Gradients are there as norms, by keys of transformers.
"""

import json
from pathlib import Path

import torch
import transformers
from trl.experimental.gkd import GKDTrainer

torch.set_num_threads(1)
here = Path(__file__).parent
EXAMPLES = json.loads((here / "golden" / "accumulation.json").read_text())
KINDS = {"gpt2": "GPT2LMHeadModel", "llama": "LlamaForCausalLM", "bert-masked": "BertForMaskedLM", "t5": "T5ForConditionalGeneration"}
CASES = [("forward-kl", 2.0, 0.5), ("reverse-kl", 1.0, 0.7), ("jensen-shannon", 1.0, 1.0), ("forward-kl", 1.0, 1.0), ("jensen-shannon", 3.0, 0.25)]
kl = lambda of, given: torch.nn.functional.kl_div(given, of, reduction="sum", log_target=True)


def divergence(own, theirs, kind, temperature):
    q, p = (torch.log_softmax(logits / temperature, -1) for logits in (own, theirs))
    if kind == "jensen-shannon":
        mean = torch.logsumexp(torch.stack([q, p]), 0) - torch.log(torch.tensor(2.0))
        found = (kl(p, mean) + kl(q, mean)) / 2
    else:
        found = kl(p, q) if kind == "forward-kl" else kl(q, p)
    beta = {"forward-kl": 0.0, "reverse-kl": 1.0, "jensen-shannon": 0.5}[kind]
    trl = GKDTrainer.generalized_jsd_loss(own, theirs, beta=beta, temperature=temperature, reduction="sum")
    assert torch.allclose(found, trl, rtol=1e-4), (kind, found, trl)
    return found * temperature**2


def collate(examples):
    pad = lambda rows, value: torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], True, value)
    return {"input_ids": pad([e["ids"] for e in examples], 0), "labels": pad([e["labels"] for e in examples], -100),
            "attention_mask": pad([[1] * len(e["ids"]) for e in examples], 0)}


def case(base, kind, temperature, share):
    load = lambda: getattr(transformers, KINDS[base]).from_pretrained(here.parent / "adapters" / "golden" / "bases" / base).eval()
    model, teacher = load(), load()
    with torch.no_grad():
        for p in teacher.parameters():
            p.mul_(3)
    batch = collate(EXAMPLES[base]["examples"])
    labels = batch["labels"]
    if base != "t5":
        del batch["labels"]
    own = model(**batch).logits
    with torch.no_grad():
        theirs = teacher(**batch).logits
    if base in ("gpt2", "llama"):
        own, theirs, labels = own[:, :-1], theirs[:, :-1], labels[:, 1:]
    known = labels != -100
    targets = torch.nn.functional.cross_entropy(own[known], labels[known])
    taught = divergence(own[known], theirs[known], kind, temperature) / known.sum()
    loss = (1 - share) * targets + share * taught
    loss.backward()
    norms = {key: float(f"{p.grad.norm().item():.7g}") for key, p in model.named_parameters() if p.grad is not None}
    return {"divergence": kind, "temperature": temperature, "share": share, "loss": float(f"{loss.item():.8g}"), "norms": norms}


golden = {base: [case(base, *one) for one in CASES] for base in KINDS}
(here / "golden" / "distillation.json").write_text(json.dumps(golden) + "\n")
print({base: [one["loss"] for one in cases] for base, cases in golden.items()})
