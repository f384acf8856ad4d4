"""Generation by transformers, the peer of bench/generation.ts: one JSON line. Prompts come as JSON on standard input.
  python generation.py FOLDER DTYPE NEW_TOKENS RUNS THREADS
  python generation.py FOLDER DTYPE NEW_TOKENS RUNS THREADS BATCH   (in batches, each text up to its end token)
  python generation.py --convert FILE.gguf FOLDER      (writes the GGUF's weights as a Hugging Face folder)"""
import json
import os
import resource
import sys
import time

if sys.argv[1] != "--convert":
    os.environ["OMP_NUM_THREADS"] = sys.argv[5]
import torch
import transformers

transformers.utils.logging.set_verbosity_error()


def convert(path, folder):
    from safetensors.torch import save_file
    where, name = os.path.split(os.path.abspath(path))
    model = transformers.AutoModelForCausalLM.from_pretrained(where, gguf_file=name, dtype=torch.float32)
    os.makedirs(folder, exist_ok=True)
    state = {k: v.contiguous() for k, v in model.state_dict().items() if not (k == "lm_head.weight" and model.config.tie_word_embeddings)}
    save_file(state, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.config.save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(where, gguf_file=name).save_pretrained(folder)
    print(json.dumps({"folder": folder}))


def measure(folder, dtype, new_tokens, runs, threads):
    torch.set_num_threads(threads)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, padding_side="left")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    batch = tokenizer(json.load(sys.stdin), return_tensors="pt", padding=True)
    seconds, cpu_seconds = [], []
    how = dict(do_sample=False, eos_token_id=None)
    with torch.inference_mode():
        model.generate(**batch, max_new_tokens=4, **how)
        for _ in range(runs):
            before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
            made = model.generate(**batch, max_new_tokens=new_tokens, min_new_tokens=new_tokens, **how)
            seconds.append(time.perf_counter() - start)
            after = resource.getrusage(resource.RUSAGE_SELF)
            cpu_seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    ids = made[:, batch["input_ids"].shape[1]:].tolist()
    print(json.dumps({"seconds": seconds, "cpuSeconds": cpu_seconds, "ids": ids, "text": tokenizer.decode(ids[0])}))


def evaluate(folder, dtype, new_tokens, runs, threads, size):
    torch.set_num_threads(threads)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, padding_side="left")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()
    prompts, end = json.load(sys.stdin), tokenizer.eos_token_id
    how = dict(do_sample=False, eos_token_id=end, pad_token_id=tokenizer.pad_token_id)
    seconds, cpu_seconds = [], []

    def generate(texts, most):
        batch = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        made = model.generate(**batch, max_new_tokens=most, **how)[:, batch["input_ids"].shape[1]:].tolist()
        return [row[:row.index(end) + 1] if end in row else row for row in made]

    with torch.inference_mode():
        generate(prompts[:2], 2)
        for _ in range(runs):
            before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
            ids = [row for at in range(0, len(prompts), size) for row in generate(prompts[at:at + size], new_tokens)]
            seconds.append(time.perf_counter() - start)
            after = resource.getrusage(resource.RUSAGE_SELF)
            cpu_seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    print(json.dumps({"seconds": seconds, "cpuSeconds": cpu_seconds, "ids": ids, "text": tokenizer.decode(ids[0])}))


if sys.argv[1] == "--convert":
    convert(sys.argv[2], sys.argv[3])
elif len(sys.argv) > 6:
    evaluate(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:7]))
else:
    measure(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
