"""Makes golden/loss-scaling.json: 20 steps of a GPT in float16 with torch.amp.GradScaler, over what loss-scaling-run.ts writes.

    npx tsx tests/training/loss-scaling-run.ts FOLDER
    python tests/training/make-loss-scaling.py FOLDER

Needs torch and transformers. Nothing of Tunesmith runs here: float32 masters are the optimizer's parameters, as GradScaler unscales no
float16 gradients, and the schedule advances in each step, also a skipped one, as in PyTorch's examples.
"""

import json
import sys
from pathlib import Path

import torch
import transformers

folder = Path(sys.argv[1])
torch.set_num_threads(1)
settings = json.loads((folder / "settings.json").read_text())
batches = json.loads((folder / "batches.json").read_text())
model = transformers.GPT2LMHeadModel.from_pretrained(folder / "model", dtype=torch.float32).train()
assert all(module.p == 0 for module in model.modules() if isinstance(module, torch.nn.Dropout))
masters = [p.detach().clone().requires_grad_() for p in model.parameters()]
model.half()
copies = list(model.parameters())
optimizer = torch.optim.AdamW(
    [
        {"params": [p for p in masters if p.dim() >= 2], "weight_decay": 0.01},
        {"params": [p for p in masters if p.dim() < 2], "weight_decay": 0.0},
    ],
    lr=settings["learningRate"],
)
schedule = transformers.get_linear_schedule_with_warmup(optimizer, settings["schedule"]["warmupSteps"], len(batches))
scaler = torch.amp.GradScaler(
    "cpu", init_scale=settings["lossScale"]["initial"], growth_interval=settings["lossScale"]["growthInterval"]
)
steps = []
for batch in batches:
    longest = max(len(example["ids"]) for example in batch)
    ids, labels, mask = (torch.zeros(len(batch), longest, dtype=torch.long) for _ in range(3))
    labels.fill_(-100)
    for row, example in enumerate(batch):
        size = len(example["ids"])
        ids[row, :size] = torch.tensor(example["ids"])
        labels[row, :size] = torch.tensor(example["labels"])
        mask[row, :size] = 1
    logits = model(input_ids=ids, attention_mask=mask).logits.float()
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100)
    model.zero_grad()
    scale = scaler.get_scale()
    scaler.scale(loss).backward()
    largest = max(float(copy.grad.abs().max()) for copy in copies)
    for master, copy in zip(masters, copies):
        master.grad = copy.grad.float()
    scaler.unscale_(optimizer)
    norm = torch.nn.utils.clip_grad_norm_(masters, settings["maxGradientNorm"])
    scaler.step(optimizer)
    scaler.update()
    schedule.step()
    with torch.no_grad():
        for master, copy in zip(masters, copies):
            copy.copy_(master)
    finite = bool(torch.isfinite(norm))
    steps.append({"loss": float(f"{loss.item():.7g}"), "scale": scale, "norm": float(f"{norm:.7g}") if finite else None})
    print(steps[-1], "largest scaled gradient", largest)

target = Path(__file__).parent / "golden" / "loss-scaling.json"
target.write_text(json.dumps({"torch": torch.__version__, "steps": steps}) + "\n")
