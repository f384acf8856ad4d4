"""Makes golden/reference.json: losses of a plain PyTorch loop over the weights and batches that reference-run.ts writes.

    npx tsx tests/training/reference-run.ts FOLDER
    python tests/training/make-reference.py FOLDER

Needs torch and transformers. Nothing of Tunesmith runs here: torch.optim.AdamW, transformers' schedule, clip_grad_norm_.
"""

import json
import sys
from pathlib import Path

import torch
import transformers

folder = Path(sys.argv[1])
torch.set_num_threads(1)
golden = {"torch": torch.__version__, "transformers": transformers.__version__, "losses": {}}

for kind, cls in (("gpt2", transformers.GPT2LMHeadModel), ("bert", transformers.BertForMaskedLM)):
    model = cls.from_pretrained(folder / kind / "model").train()
    assert all(module.p == 0 for module in model.modules() if isinstance(module, torch.nn.Dropout))
    decayed = [p for p in model.parameters() if p.dim() >= 2]
    plain = [p for p in model.parameters() if p.dim() < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}], lr=3e-3
    )
    batches = json.loads((folder / kind / "batches.json").read_text())
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, 20, len(batches))
    losses = []
    for batch in batches:
        longest = max(len(example["ids"]) for example in batch)
        ids, labels, mask = (torch.zeros(len(batch), longest, dtype=torch.long) for _ in range(3))
        labels.fill_(-100)
        for row, example in enumerate(batch):
            size = len(example["ids"])
            ids[row, :size] = torch.tensor(example["ids"])
            labels[row, :size] = torch.tensor(example["labels"])
            mask[row, :size] = 1
        logits = model(input_ids=ids, attention_mask=mask).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(float(f"{loss.item():.7g}"))
    golden["losses"][kind] = losses
    print(kind, losses[0], losses[99], losses[-1])

target = Path(__file__).parent / "golden" / "reference.json"
target.write_text(json.dumps(golden) + "\n")
