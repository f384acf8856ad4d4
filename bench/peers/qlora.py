"""One timed QLoRA run with PEFT and bitsandbytes: `python qlora.py FOLDER MODEL --frozen nf4|int8 --steps N`. FOLDER holds
instructions.json. Conversations follow each other in rows of one length, and every token of an answer is a target. All computes in
bfloat16. One JSON line."""

import argparse
import json
import os
import resource
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

parser = argparse.ArgumentParser()
parser.add_argument("folder")
parser.add_argument("model")
parser.add_argument("--frozen", choices=["nf4", "int8"], default="nf4")
parser.add_argument("--steps", type=int, default=8)
parser.add_argument("--batch", type=int, default=4)
parser.add_argument("--length", type=int, default=512)
parser.add_argument("--held", type=int, default=32)
args = parser.parse_args()

torch.manual_seed(0)
tokenizer = AutoTokenizer.from_pretrained(args.model)
with open(os.path.join(args.folder, "instructions.json")) as file:
    instructions = json.load(file)[args.held :]

ids, labels = [], []
for one in instructions:
    asked = one["instruction"] + ("\n\n" + one["input"] if one.get("input") else "")
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": asked}], add_generation_prompt=True, tokenize=False
    )
    before = tokenizer(prompt, add_special_tokens=False).input_ids
    answer = tokenizer(one["output"] + tokenizer.eos_token, add_special_tokens=False).input_ids
    ids += before + answer
    labels += [-100] * len(before) + answer

if args.frozen == "nf4":
    quantization = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
    )
else:
    quantization = BitsAndBytesConfig(load_in_8bit=True)
base = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.bfloat16, quantization_config=quantization)
model = get_peft_model(base, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"))
model.train()
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-4)

warmup, tokens, seconds = 3, 0, 0.0
for step in range(args.steps):
    at = step * args.batch * args.length % (len(ids) - args.batch * args.length)
    rows = [slice(at + i * args.length, at + (i + 1) * args.length) for i in range(args.batch)]
    started = time.perf_counter()
    batch = torch.tensor([ids[row] for row in rows])
    loss = model(input_ids=batch, labels=torch.tensor([labels[row] for row in rows])).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    if step >= min(warmup, args.steps - 1):
        seconds += time.perf_counter() - started
        tokens += batch.numel()
print(
    json.dumps(
        {
            "tokens_per_s": tokens / seconds,
            "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
    )
)
