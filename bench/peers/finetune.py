"""Fine-tuning as Hugging Face's Trainer, PEFT and a hand-written bottleneck do it; the peer of bench/finetune.ts.
  python finetune.py FOLDER --data sst2|squad --method full|lora|adapter --batch N [--pad-to T] --engine trainer|check|evaluate --steps N [--bf16]
FOLDER holds base, adapter and examples, written by bench/finetune/prepare.ts. fp32, or bf16 autocast, AdamW, constant learning rate. One JSON line."""
import argparse
import json
import os
import resource
import tempfile
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
parser = argparse.ArgumentParser()
parser.add_argument("folder")
parser.add_argument("--data", required=True, choices=["sst2", "squad"])
parser.add_argument("--method", default="full", choices=["full", "lora", "adapter"])
parser.add_argument("--engine", default="trainer", choices=["trainer", "check", "evaluate"])
parser.add_argument("--batch", type=int, required=True)
parser.add_argument("--pad-to", type=int, help="pad every row to this length, as run_qa.py does unless told otherwise")
parser.add_argument("--learning-rate", type=float, default=5e-5)
parser.add_argument("--steps", type=int, default=8)
parser.add_argument("--bf16", action="store_true")
args = parser.parse_args()

import torch
import transformers
from datasets import Dataset
from safetensors.torch import load_file
from transformers import (AutoModelForQuestionAnswering, AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding, Trainer,
                          TrainerCallback, TrainingArguments)

transformers.utils.logging.set_verbosity_error()
base = os.path.join(args.folder, "model")
tokenizer = AutoTokenizer.from_pretrained(base)
model = (AutoModelForSequenceClassification if args.data == "sst2" else AutoModelForQuestionAnswering).from_pretrained(base, dtype=torch.float32)
with open(os.path.join(args.folder, "examples.json")) as file:
    rows = json.load(file)


class Bottleneck(torch.nn.Module):
    """After the feed-forward block, before its dropout."""

    def __init__(self, dense, down, up):
        super().__init__()
        self.dense, self.down, self.up = dense, down, up

    def forward(self, x):
        h = self.dense(x)
        return h + self.up(torch.relu(self.down(h)))


def with_bottlenecks(model):
    values = load_file(os.path.join(args.folder, "adapter", "adapter_model.safetensors"))
    for parameter in model.bert.parameters():
        parameter.requires_grad = False

    def linear(path):
        weight, bias = values[path + ".weight"], values[path + ".bias"]
        layer = torch.nn.Linear(weight.shape[1], weight.shape[0])
        layer.weight.data.copy_(weight)
        layer.bias.data.copy_(bias)
        return layer

    for i, layer in enumerate(model.bert.encoder.layer):
        key = f"body.layers.{i}.mlp.downProj.adapter."
        layer.output.dense = Bottleneck(layer.output.dense, linear(key + "down"), linear(key + "up"))
    return model


if args.method == "lora":
    from peft import PeftModel
    model = PeftModel.from_pretrained(model, os.path.join(args.folder, "adapter"), is_trainable=True)
elif args.method == "adapter":
    model = with_bottlenecks(model)
trained = sum(p.numel() for p in model.parameters() if p.requires_grad)


def dataset(examples):
    data = {"input_ids": [row["ids"] for row in examples], "token_type_ids": [row["types"] for row in examples],
            "attention_mask": [[1] * len(row["ids"]) for row in examples]}
    if args.data == "sst2":
        data["labels"] = [row["answer"][0] for row in examples]
    else:
        data["start_positions"] = [row["answer"][0] for row in examples]
        data["end_positions"] = [row["answer"][1] for row in examples]
    return Dataset.from_dict(data)


collator = DataCollatorWithPadding(tokenizer, padding="max_length", max_length=args.pad_to) if args.pad_to else DataCollatorWithPadding(tokenizer)


class Clock(TrainerCallback):
    def __init__(self):
        self.seconds, self.cpu, self.losses = [], [], []

    def on_train_begin(self, *_, **__):
        self.at = time.perf_counter(), time.process_time()

    def on_step_end(self, *_, **__):
        now = time.perf_counter(), time.process_time()
        self.seconds.append(now[0] - self.at[0])
        self.cpu.append(now[1] - self.at[1])
        self.at = now

    def on_log(self, _, __, ___, logs=None, **____):
        if logs and "loss" in logs:
            self.losses.append(float(logs["loss"]))


def trainer(out, data, callbacks):
    arguments = TrainingArguments(out, per_device_train_batch_size=args.batch, per_device_eval_batch_size=64, max_steps=args.steps,
                                  learning_rate=args.learning_rate, lr_scheduler_type="constant", weight_decay=0.01, use_cpu=True, bf16=args.bf16, bf16_full_eval=args.bf16, logging_steps=1,
                                  save_strategy="no", report_to=[], disable_tqdm=True, seed=0, train_sampling_strategy="sequential")
    return Trainer(model, arguments, train_dataset=data, data_collator=collator, callbacks=callbacks)


def show(**row):
    print(json.dumps({**row, "trained": trained, "peakMb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                      "threads": torch.get_num_threads()}), flush=True)


if args.engine == "check":
    examples = rows["examples"][:args.batch]
    batch = collator([{k: v for k, v in row.items()} for row in dataset(examples)])
    model.eval()
    with torch.no_grad():
        if args.data == "sst2":
            loss = model(**batch).loss
        else:
            # transformers lets padding compete with the answer; that is left out here, as it is of ours.
            firsts, lasts = batch.pop("start_positions"), batch.pop("end_positions")
            output, hidden = model(**batch), batch["attention_mask"] == 0
            pairs = ((output.start_logits, firsts), (output.end_logits, lasts))
            loss = sum(torch.nn.functional.cross_entropy(x.masked_fill(hidden, float("-inf")), y) for x, y in pairs) / 2
    show(loss=loss.item())
elif args.engine == "trainer":
    clock = Clock()
    with tempfile.TemporaryDirectory() as out:
        trainer(out, dataset(rows["examples"][:args.steps * args.batch]), [clock]).train()
    show(steps=[{"ms": s * 1e3, "cpuMs": c * 1e3, "examples": args.batch, "loss": l} for s, c, l in zip(clock.seconds, clock.cpu, clock.losses)])
else:
    # Sorted by length, as a careful user would have it; Trainer itself takes them as they come.
    with tempfile.TemporaryDirectory() as out:
        held = trainer(out, None, [])
        data = dataset(rows["evaluated"])
        held.predict(data)
        at = time.perf_counter(), time.process_time()
        held.predict(data)
        seconds, cpu = time.perf_counter() - at[0], time.process_time() - at[1]
    show(seconds=seconds, cpuSeconds=cpu, examples=len(data))
