"""Logits of an exported folder in transformers, and of its adapter on the base in PEFT: `exported.py MERGED BASE ADAPTER` reads lists
of token ids from standard input and writes the two logits of each, flattened, as JSON."""
import json
import sys

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

merged, base, adapter = sys.argv[1:]
texts = json.load(sys.stdin)


def logits(model):
    with torch.no_grad():
        return [model(torch.tensor([ids])).logits.flatten().tolist() for ids in texts]


load = lambda folder: AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
print(json.dumps({"merged": logits(load(merged)), "adapter": logits(PeftModel.from_pretrained(load(base), adapter).eval())}))
