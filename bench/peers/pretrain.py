"""Pretraining as Hugging Face's Trainer does it, and as torch.compile in a plain loop; the peer of bench/pretrain.ts.
  python pretrain.py FOLDER --job causal-lm|masked-lm --batch N --length T --engine trainer|compile|check|save --steps N
FOLDER holds rows, tokenizer and first weights, written by bench/pretrain/prepare.ts. fp32, AdamW, constant learning rate. One JSON line."""
import argparse
import json
import os
import resource
import shutil
import statistics
import tempfile
import time

START = time.perf_counter()
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
parser = argparse.ArgumentParser()
parser.add_argument("folder")
parser.add_argument("--job", required=True, choices=["causal-lm", "masked-lm"])
parser.add_argument("--engine", default="trainer", choices=["trainer", "compile", "check", "save"])
parser.add_argument("--batch", type=int, required=True)
parser.add_argument("--learning-rate", type=float, default=3e-4)
parser.add_argument("--steps", type=int, default=8)
args = parser.parse_args()

import numpy as np
import torch
import transformers
from datasets import Dataset
from transformers import (AutoModelForCausalLM, AutoModelForMaskedLM, DataCollatorForLanguageModeling, PreTrainedTokenizerFast, Trainer,
                          TrainerCallback, TrainingArguments, default_data_collator)

IMPORTED = time.perf_counter()
transformers.utils.logging.set_verbosity_error()
causal = args.job == "causal-lm"
model = (AutoModelForCausalLM if causal else AutoModelForMaskedLM).from_pretrained(os.path.join(args.folder, "model"), dtype=torch.float32)


def read(name):
    return np.fromfile(os.path.join(args.folder, name), dtype=np.int32)


def rows(count):
    ids, ends = read("ids.bin"), read("ends.bin")
    return [ids[(ends[i % len(ends) - 1] if i % len(ends) else 0):ends[i % len(ends)]] for i in range(count)]


def dataset(count):
    """As run_clm.py and run_mlm.py --line_by_line make them; and how many tokens are in each row."""
    if causal:
        blocks = rows(count)
        return Dataset.from_dict({"input_ids": blocks, "labels": blocks}), default_data_collator, [len(row) - 1 for row in blocks]
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=os.path.join(args.folder, "tokenizer", "tokenizer.json"), unk_token="[UNK]", sep_token="[SEP]",
                                        pad_token="[PAD]", cls_token="[CLS]", mask_token="[MASK]")
    texts = [[tokenizer.cls_token_id, *row.tolist(), tokenizer.sep_token_id] for row in rows(count)]
    special = [[1] + [0] * (len(row) - 2) + [1] for row in texts]
    data = Dataset.from_dict({"input_ids": texts, "attention_mask": [[1] * len(row) for row in texts], "special_tokens_mask": special})
    return data, DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15), [len(row) for row in texts]


class Clock(TrainerCallback):
    def __init__(self):
        self.seconds, self.cpu, self.losses = [], [], []

    def on_train_begin(self, *_, **__):
        self.at = time.perf_counter(), time.process_time()

    def tick(self):
        now = time.perf_counter(), time.process_time()
        self.seconds.append(now[0] - self.at[0])
        self.cpu.append(now[1] - self.at[1])
        self.at = now

    def on_step_end(self, *_, **__):
        self.tick()

    def on_log(self, _, __, ___, logs=None, **____):
        if logs and "loss" in logs:
            self.losses.append(float(logs["loss"]))


def trainer(out, count, clock=None):
    data, collator, _ = dataset(count * args.batch)
    arguments = TrainingArguments(out, per_device_train_batch_size=args.batch, max_steps=count, learning_rate=args.learning_rate, lr_scheduler_type="constant",
                                  weight_decay=0.01, use_cpu=True, logging_steps=1, save_strategy="no", report_to=[], disable_tqdm=True, seed=0,
                                  train_sampling_strategy="sequential")
    return Trainer(model, arguments, train_dataset=data, data_collator=collator, callbacks=[clock] if clock else [])


def show(**row):
    print(json.dumps({**row, "peakMb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "threads": torch.get_num_threads()}), flush=True)


def steps_of(clock):
    sizes = dataset(args.steps * args.batch)[2]
    tokens = [sum(sizes[i * args.batch:(i + 1) * args.batch]) for i in range(args.steps)]
    return [{"ms": s * 1e3, "cpuMs": c * 1e3, "tokens": t, "loss": l} for s, c, t, l in zip(clock.seconds, clock.cpu, tokens, clock.losses)]


if args.engine == "check":
    flat = read("check.bin")
    count, length = int(flat[0]), int(flat[1])
    ids, mask, labels = (torch.from_numpy(part.astype(np.int64)) for part in flat[2:].reshape(3, count, length))
    with torch.no_grad():
        logits = model.eval()(input_ids=ids, attention_mask=mask).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100)
    show(loss=loss.item())
elif args.engine == "trainer":
    clock = Clock()
    with tempfile.TemporaryDirectory() as out:
        built = time.perf_counter()
        trainer(out, args.steps, clock).train()
    show(steps=steps_of(clock), importSeconds=IMPORTED - START, setupSeconds=built - IMPORTED)
elif args.engine == "compile":
    data = dataset(args.steps * args.batch)[0].with_format("torch")
    # Every parameter decays but biases and norms, as with Trainer.
    groups = [{"params": [p for p in model.parameters() if (p.ndim > 1) == wide], "weight_decay": 0.01 if wide else 0.0} for wide in (True, False)]
    optimizer = torch.optim.AdamW(groups, args.learning_rate, fused=True)
    step, clock = torch.compile(lambda ids, labels: model(input_ids=ids, labels=labels).loss), Clock()
    model.train()
    clock.on_train_begin()
    for i in range(args.steps):
        batch = data[i * args.batch:(i + 1) * args.batch]
        loss = step(batch["input_ids"], batch["labels"])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        clock.losses.append(loss.item())
        clock.tick()
    show(steps=steps_of(clock))
else:
    # Weights, optimizer, scheduler and random states, as at every `save_steps`; Trainer does not ask the disk to keep them, so the
    # time that this takes is given beside.
    with tempfile.TemporaryDirectory(dir=args.folder) as out:
        one = trainer(out, 1)
        one.train()
        seconds, synced = [], []
        for _ in range(args.steps):
            shutil.rmtree(os.path.join(out, "checkpoint-1"), ignore_errors=True)
            os.sync()
            started = time.perf_counter()
            one._save_checkpoint(one.model, trial=None)
            seconds.append(time.perf_counter() - started)
            os.sync()
            synced.append(time.perf_counter() - started)
        size = sum(f.stat().st_size for f in os.scandir(os.path.join(out, "checkpoint-1")))
    show(seconds=seconds, syncedSeconds=synced, megabytes=size / 1e6, median=statistics.median(seconds))
