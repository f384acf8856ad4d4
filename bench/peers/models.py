"""Loading and encoding by transformers, the peer of bench/models.ts: one JSON line.
  python models.py load FOLDER THREADS
  python models.py encode FOLDER BATCHES fixed|padded|sorted RUNS THREADS"""
import json
import os
import resource
import sys
import time

os.environ["OMP_NUM_THREADS"] = sys.argv[-1]
import torch
import transformers

transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
torch.set_num_threads(int(sys.argv[-1]))


def load(folder, _):
    with open(os.path.join(folder, "config.json")) as f:
        kind = getattr(transformers, json.load(f)["architectures"][0])  # imported before the clock starts
    start = time.perf_counter()
    model = kind.from_pretrained(folder)
    loaded = time.perf_counter()
    with torch.inference_mode():
        logits = model(torch.tensor([[11, 22, 33, 44, 55, 66, 77, 88]])).logits
    done = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"loadMs": (loaded - start) * 1000, "firstLogitsMs": (done - start) * 1000, "sample": logits[0, 0, :4].tolist(), "peakMb": peak}


def encode(folder, file, mode, runs, _):
    with open(file) as f:
        data = json.load(f)
    batches = [data["fixed"]] if mode == "fixed" else data["mixed"]
    first = batches[0][0]
    if mode == "sorted":
        # As sentence-transformers does: longest first, over all texts.
        rows = sorted((ids for batch in batches for ids in batch), key=len, reverse=True)
        batches = [rows[i:i + 32] for i in range(0, len(rows), 32)]
    model = transformers.BertModel.from_pretrained(folder, attn_implementation="sdpa").eval()

    def run(rows):
        length = max(map(len, rows))
        ids = torch.tensor([r + [0] * (length - len(r)) for r in rows])
        mask = torch.tensor([[1] * len(r) + [0] * (length - len(r)) for r in rows])
        with torch.inference_mode():
            hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
            weights = mask[..., None].float()
            return ((hidden * weights).sum(1) / weights.sum(1)).numpy()

    for rows in batches[:2]:
        run(rows)
    seconds, cpu = [], []
    for _ in range(int(runs)):
        used, start = time.process_time(), time.perf_counter()
        for rows in batches:
            run(rows)
        seconds.append(time.perf_counter() - start)
        cpu.append(time.process_time() - used)
    return {"seconds": seconds, "cpuSeconds": cpu, "examples": sum(map(len, batches)), "sample": run([first])[0, :4].tolist()}


print(json.dumps({"load": load, "encode": encode}[sys.argv[1]](*sys.argv[2:])))
