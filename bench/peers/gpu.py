"""Training and decoding on a device with PyTorch and transformers, the peer of bench/gpu.ts; one JSON line.
  python gpu.py train ENGINE DEVICE STEPS JOB     (ENGINE: eager, compile or trainer; JOB: bench/gpu/jobs.ts as JSON)
  python gpu.py decode DEVICE ROWS RUNS PROMPT NEW_TOKENS JOB
  python gpu.py check DEVICE                      (versions, and whether torch has the device)
bfloat16 by autocast with float32 weights in training, as Trainer's `bf16`; bfloat16 weights for a frozen base and in decoding."""
import json
import os
import sys
import tempfile
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
import torch
import transformers

transformers.utils.logging.set_verbosity_error()
FIRST_ID = 10


def has_device(name):
    found = torch.accelerator.current_accelerator(check_available=True)
    return found is not None and found.type == torch.device(name).type


def show(**row):
    print(json.dumps(row), flush=True)


def config_of(job):
    return getattr(transformers, job["peer"]["config"])(**job["peer"]["settings"])


def make_model(job, device, dtype):
    auto = transformers.AutoModelForMaskedLM if job["objective"] == "masked-lm" else transformers.AutoModelForCausalLM
    torch.manual_seed(0)
    with torch.device(device):
        model = auto.from_config(config_of(job), dtype=dtype)
    return model


def rows_of(job, count):
    generator = torch.Generator().manual_seed(1)
    size = job["peer"]["settings"]["vocab_size"]
    ids = torch.randint(FIRST_ID, size, (count, job["length"]), generator=generator)
    if job["objective"] == "causal-lm":
        return ids, ids.clone()
    chosen = torch.rand(ids.shape, generator=generator) < 0.15
    chosen[:, 0] = True
    return ids.masked_fill(chosen, 4), ids.masked_fill(~chosen, -100)


def prepared(job, device):
    if job.get("rank") is None:
        return make_model(job, device, torch.float32)
    from peft import LoraConfig, get_peft_model
    base = make_model(job, device, torch.bfloat16)
    return get_peft_model(base, LoraConfig(r=job["rank"], lora_alpha=job["rank"], target_modules=["q_proj", "v_proj"]))


def loop(job, device, steps, compiled):
    model = prepared(job, device).train()
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [{"params": [p for p in trained if (p.ndim > 1) == wide], "weight_decay": 0.01 if wide else 0.0} for wide in (True, False)]
    optimizer = torch.optim.AdamW([g for g in groups if g["params"]], 1e-4, fused=True)
    forward = lambda ids, labels: model(input_ids=ids, labels=labels).loss
    forward = torch.compile(forward) if compiled else forward
    ids, labels = (part.to(device) for part in rows_of(job, steps * job["batch"]))
    result = []
    for i in range(steps):
        started = time.perf_counter()
        at = slice(i * job["batch"], (i + 1) * job["batch"])
        with torch.autocast(torch.device(device).type, torch.bfloat16):
            loss = forward(ids[at], labels[at])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        value = loss.item()
        result.append({"ms": 1000 * (time.perf_counter() - started), "loss": value})
    return result


class Clock(transformers.TrainerCallback):
    def __init__(self, device):
        self.steps, self.device, self.at = [], device, 0

    def on_step_begin(self, *_, **__):
        self.at = time.perf_counter()

    def on_step_end(self, *_, **__):
        if self.device != "cpu":
            torch.accelerator.synchronize()
        self.steps.append({"ms": 1000 * (time.perf_counter() - self.at)})

    def on_log(self, _, __, ___, logs=None, **____):
        if logs and "loss" in logs:
            self.steps[len(self.steps) - 1]["loss"] = float(logs["loss"])


def trainer(job, device, steps):
    ids, labels = rows_of(job, steps * job["batch"])
    data = [{"input_ids": i, "labels": l} for i, l in zip(ids, labels)]
    clock = Clock(device)
    with tempfile.TemporaryDirectory() as out:
        settings = transformers.TrainingArguments(
            out, per_device_train_batch_size=job["batch"], max_steps=steps, learning_rate=1e-4, lr_scheduler_type="constant",
            weight_decay=0.01, use_cpu=device == "cpu", bf16=True, logging_steps=1, save_strategy="no", report_to=[],
            disable_tqdm=True, seed=0, dataloader_pin_memory=device != "cpu")
        transformers.Trainer(prepared(job, device), settings, train_dataset=data, callbacks=[clock]).train()
    return clock.steps


def decode(device, rows, runs, prompt, new_tokens, job):
    model = make_model(job, device, torch.bfloat16).eval()
    ids = rows_of({**job, "length": prompt, "objective": "causal-lm"}, rows)[0].to(device)
    how = dict(do_sample=False, eos_token_id=None, pad_token_id=0, attention_mask=torch.ones_like(ids))
    seconds = []
    with torch.inference_mode():
        model.generate(ids, max_new_tokens=4, **how)
        for _ in range(runs):
            started = time.perf_counter()
            made = model.generate(ids, max_new_tokens=new_tokens, min_new_tokens=new_tokens, **how)
            # Reading a value waits for the device.
            made[0, -1].item()
            seconds.append(time.perf_counter() - started)
    return seconds


kind, *given = sys.argv[1:]
if kind == "check":
    show(torch=torch.__version__, transformers=transformers.__version__, usable=given[0] == "cpu" or has_device(given[0]))
elif kind == "train":
    engine, device, steps, job = given[0], given[1], int(given[2]), json.loads(given[3])
    steps_of = trainer(job, device, steps) if engine == "trainer" else loop(job, device, steps, engine == "compile")
    show(steps=steps_of, tokensPerStep=job["batch"] * job["length"])
else:
    device, (rows, runs, prompt, new_tokens) = given[0], map(int, given[1:5])
    show(seconds=decode(device, rows, runs, prompt, new_tokens, json.loads(given[5])), tokens=rows * new_tokens)
