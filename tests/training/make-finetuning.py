"""Makes golden/finetuning.json: losses of plain PyTorch and PEFT loops over the bases and adapters of tests/adapters/golden, and the batches.

    python tests/training/make-finetuning.py

Needs torch, transformers and peft. Nothing of Tunesmith runs here: torch.optim.AdamW, transformers' schedule, clip_grad_norm_; rows are padded."""

import json
import random
import warnings
from pathlib import Path

import torch
import transformers
from peft import PeftConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import BertForSequenceClassification, GPT2LMHeadModel

import peft

warnings.filterwarnings("ignore")
here = Path(__file__).parent
adapters = here.parent / "adapters" / "golden"
torch.set_num_threads(1)
STEPS, ROWS, VOCABULARY = 100, 5, 61


def batches(kind):
    """Texts that draw most tokens from a third of the vocabulary, which is their class; or texts whose next token follows from the last."""
    draw = random.Random(kind)
    rows = []
    for _ in range(STEPS * ROWS):
        length = draw.randint(3, 13)
        label = draw.randrange(3)
        ids = [2 + 19 * (label if draw.random() < 0.8 else draw.randrange(3)) + draw.randrange(19) for _ in range(length)]
        if kind == "gpt2":
            for i in range(1, length):
                ids[i] = 2 + (ids[i - 1] * 3 + draw.randrange(3)) % (VOCABULARY - 2)
        rows.append({"ids": ids, "label": label})
    return [rows[i * ROWS:(i + 1) * ROWS] for i in range(STEPS)]


def loss_of(kind, model, batch):
    longest = max(len(row["ids"]) for row in batch)
    ids, mask = torch.zeros(ROWS, longest, dtype=torch.long), torch.zeros(ROWS, longest, dtype=torch.long)
    labels = torch.full((ROWS, longest), -100)
    for i, row in enumerate(batch):
        size = len(row["ids"])
        ids[i, :size] = torch.tensor(row["ids"])
        labels[i, :size - 1] = ids[i, 1:size]
        mask[i, :size] = 1
    logits = model(input_ids=ids, attention_mask=mask).logits
    logits = logits[:, -longest:] if kind == "gpt2" else logits  # Without what virtual tokens say.
    if kind == "bert":
        return torch.nn.functional.cross_entropy(logits, torch.tensor([row["label"] for row in batch]))
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100)


CASES = {"full": ("bert", None, 2e-3), "lora": ("bert", "bert-lora", 1e-2), "dora": ("bert", "bert-dora", 1e-2), "ia3": ("bert", "bert-ia3", 5e-2),
         "prefix": ("gpt2", "gpt2-prefix", 1e-1), "lora-gpt2": ("gpt2", "gpt2-lora", 5e-2), "prompt": ("gpt2", "gpt2-prompt", 1e-1)}
golden = {"torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__,
          "batches": {kind: batches(kind) for kind in ("bert", "gpt2")}, "cases": {}}
silent = {"bert": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}, "gpt2": {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}}
for name, (kind, adapter, rate) in CASES.items():
    model = (BertForSequenceClassification if kind == "bert" else GPT2LMHeadModel).from_pretrained(adapters / "bases" / kind, **silent[kind])
    if adapter is not None and kind == "gpt2" and "lora" not in name:
        # PEFT does not go on with files of virtual tokens: a fresh one takes their values.
        model = get_peft_model(model, PeftConfig.from_pretrained(adapters / adapter, inference_mode=False))
        model.prompt_encoder["default"].embedding.weight.data.copy_(load_file(adapters / adapter / "adapter_model.safetensors")["prompt_embeddings"])
    elif adapter is not None:
        model = PeftModel.from_pretrained(model, adapters / adapter, is_trainable=True)
    model.train()
    assert all(module.p == 0 for module in model.modules() if isinstance(module, torch.nn.Dropout))
    trained = [p for p in model.parameters() if p.requires_grad]
    matrix = [p for p in trained if sum(size > 1 for size in p.shape) >= 2]
    other = [p for p in trained if sum(size > 1 for size in p.shape) < 2]
    optimizer = torch.optim.AdamW([{"params": matrix, "weight_decay": 0.01}, {"params": other, "weight_decay": 0.0}], lr=rate)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, 10, STEPS)
    losses = []
    for batch in golden["batches"][kind]:
        loss = loss_of(kind, model, batch)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        losses.append(float(f"{loss.item():.7g}"))
    golden["cases"][name] = {"base": kind, "adapter": adapter, "learningRate": rate, "trained": sum(p.numel() for p in trained), "losses": losses}
    print(name, golden["cases"][name]["trained"], losses[0], sum(losses[-10:]) / 10)
(here / "golden" / "finetuning.json").write_text(json.dumps(golden) + "\n")
