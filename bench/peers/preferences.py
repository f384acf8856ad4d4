"""Learning from preferences as TRL does it; the peer of bench/preferences.ts.
  python preferences.py FOLDER --model DIR --objective reward|dpo|kto --seeds 0,1,2 --batch N --learning-rate X [--bf16]
FOLDER holds rows.json: pairs for training and validation as token ids. LoRA of rank 16 in all linear layers, one epoch, cosine schedule with a
tenth of warm-up, AdamW, fp32 or bf16 autocast. One JSON line: of each validation pair the score of the chosen answer less that of the rejected one."""
import argparse
import json
import os
import random
import resource
import tempfile
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
parser = argparse.ArgumentParser()
parser.add_argument("folder")
parser.add_argument("--model", required=True)
parser.add_argument("--objective", required=True, choices=["reward", "dpo", "kto"])
parser.add_argument("--seeds", default="0")
parser.add_argument("--batch", type=int, default=8)
parser.add_argument("--learning-rate", type=float, default=1e-4)
parser.add_argument("--bf16", action="store_true")
args = parser.parse_args()

import torch
import transformers
import trl
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

transformers.utils.logging.set_verbosity_error()
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
with open(os.path.join(args.folder, "rows.json")) as file:
    rows = json.load(file)
tokenizer = AutoTokenizer.from_pretrained(args.model)
# Not the end token: transformers reads the score of a text at its last token that is not padding.
tokenizer.pad_token = tokenizer.unk_token or tokenizer.pad_token
steps = -(-len(rows["train"]) // args.batch)
targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
common = dict(num_train_epochs=1, learning_rate=args.learning_rate, lr_scheduler_type="cosine", warmup_steps=round(0.1 * steps), use_cpu=True,
              bf16=args.bf16, gradient_checkpointing=False, save_strategy="no", report_to=[], disable_tqdm=True, max_length=None)


def data(order):
    """The columns into which the trainer would turn texts."""
    pairs = [rows["train"][i] for i in order]
    if args.objective == "reward":
        return Dataset.from_list([{"chosen_ids": p["prompt"] + p["chosen"], "rejected_ids": p["prompt"] + p["rejected"]} for p in pairs])
    if args.objective == "dpo":
        return Dataset.from_list([{"prompt_ids": p["prompt"], "chosen_ids": p["chosen"], "rejected_ids": p["rejected"]} for p in pairs])
    rated = [{"prompt_ids": p["prompt"], "completion_ids": p[side], "label": side == "chosen"} for p in pairs for side in ("chosen", "rejected")]
    random.Random(0).shuffle(rated)
    size = 2 * args.batch
    for at in range(0, len(rated), size):
        part = rated[at:at + size]
        for i, row in enumerate(part):
            row["KL_completion_ids"] = part[i - 1]["completion_ids"]
    return Dataset.from_list(rated)


def make(out, seed):
    task = "SEQ_CLS" if args.objective == "reward" else "CAUSAL_LM"
    lora = LoraConfig(task_type=task, r=16, lora_alpha=32, lora_dropout=0.0, target_modules=targets)
    given = dict(processing_class=tokenizer, peft_config=lora)
    if args.objective == "reward":
        model = AutoModelForSequenceClassification.from_pretrained(args.model, num_labels=1, dtype=torch.float32)
        lora.modules_to_save = ["score"]
        settings = trl.RewardConfig(out, per_device_train_batch_size=args.batch, seed=seed, **common)
        return trl.RewardTrainer(model, args=settings, train_dataset=Dataset.from_list([{"prompt": "a", "chosen": "b", "rejected": "c"}]), **given)
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32)
    if args.objective == "dpo":
        settings = trl.DPOConfig(out, per_device_train_batch_size=args.batch, beta=0.1, seed=seed, **common)
        return trl.DPOTrainer(model, args=settings, train_dataset=Dataset.from_list([{"prompt": "a", "chosen": "b", "rejected": "c"}]), **given)
    settings = trl.KTOConfig(out, per_device_train_batch_size=2 * args.batch, beta=0.1, seed=seed, **common)
    texts = [{"prompt": "a", "completion": "b", "label": True}, {"prompt": "c", "completion": "d", "label": False}]
    return trl.KTOTrainer(model, args=settings, train_dataset=Dataset.from_list(texts * args.batch), **given)


@torch.no_grad()
def score(model, prompt, answer):
    ids = torch.tensor([prompt + answer])
    if args.objective == "reward":
        return model(input_ids=ids).logits.item()

    def log_prob():
        logits = model(input_ids=ids).logits[0, len(prompt) - 1:-1].log_softmax(-1)
        return logits.gather(1, ids[0, len(prompt):, None]).sum().item()

    policy = log_prob()
    with model.disable_adapter():
        return policy - log_prob()


runs = []
for seed in map(int, args.seeds.split(",")):
    start = time.process_time()
    transformers.set_seed(seed)
    order = list(range(len(rows["train"])))
    random.Random(seed).shuffle(order)
    with tempfile.TemporaryDirectory() as out:
        trainer = make(out, seed)
        trainer.train_dataset = data(order)
        trainer.train()
        model = trainer.model.eval()
        found = [score(model, p["prompt"], p["chosen"]) - score(model, p["prompt"], p["rejected"]) for p in rows["validation"]]
    runs.append({"seed": seed, "differences": found, "cpuSeconds": time.process_time() - start})
print(json.dumps({"runs": runs, "peakMb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}), flush=True)
