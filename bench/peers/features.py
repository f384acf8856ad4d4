"""Features by transformers and a learner of scikit-learn, the peer of bench/features.ts: one JSON line.
  python features.py MODEL TEXTS.json THREADS float32|bfloat16
Sorted by length, 64 texts a batch padded to its longest, mean of the last layer, logistic regression."""
import json
import os
import resource
import sys
import time

os.environ["OMP_NUM_THREADS"] = sys.argv[3]
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
import numpy as np
import torch
import transformers
from sklearn.linear_model import LogisticRegression

transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
torch.set_num_threads(int(sys.argv[3]))
tokenizer = transformers.AutoTokenizer.from_pretrained(sys.argv[1])
model = transformers.AutoModel.from_pretrained(sys.argv[1], dtype=getattr(torch, sys.argv[4])).eval()
with open(sys.argv[2]) as f:
    data = json.load(f)


def encode(texts):
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    out = np.zeros((len(texts), model.config.hidden_size), np.float32)
    for at in range(0, len(texts), 64):
        rows = order[at:at + 64]
        batch = tokenizer([texts[i] for i in rows], truncation=True, max_length=128, padding=True, return_tensors="pt")
        with torch.inference_mode():
            hidden = model(**batch).last_hidden_state
        weights = batch["attention_mask"].unsqueeze(-1)
        out[rows] = ((hidden * weights).sum(1) / weights.sum(1)).float().numpy()
    return out


texts = {name: [row["text"] for row in rows] for name, rows in data.items()}
labels = {name: [row["label"] for row in rows] for name, rows in data.items()}
encode(texts["dev"][:128])
used, start = time.process_time(), time.perf_counter()
features = encode(texts["train"])
seconds, cpu = time.perf_counter() - start, time.process_time() - used
start = time.perf_counter()
learner = LogisticRegression(max_iter=1000, C=1.0).fit(features, labels["train"])
fit = time.perf_counter() - start
print(json.dumps({"encodeSeconds": seconds, "encodeCpuSeconds": cpu, "fitSeconds": fit,
                  "accuracy": float(learner.score(encode(texts["dev"]), labels["dev"])), "sample": features[:3, :4].tolist(),
                  "peakMb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
