"""50 steps of AdamW, Adafactor, Lion, SGD and Muon by their references, into golden/optim-50.json.gz beside the cases of make-optim.py, whose
inputs it takes.
  python make-fifty.py   (wants torch, transformers and lion-pytorch)"""
import base64
import gzip
import json
from pathlib import Path

import numpy as np
import torch
from lion_pytorch import Lion
from torch.optim import _muon
from transformers import Adafactor

path = Path(__file__).parent / "golden" / "optim-50.json.gz"
golden = json.loads(gzip.decompress(path.read_bytes()))
rate = golden["rate"]


def opened(one):
    return torch.from_numpy(np.frombuffer(base64.b64decode(one["bytes"]), np.float32).copy()).view(one["shape"])


def stored(tensor):
    return {"shape": list(tensor.shape), "dtype": "float32", "bytes": base64.b64encode(tensor.detach().contiguous().numpy().tobytes()).decode()}


def run(make):
    params = {p: torch.nn.Parameter(opened(t)) for p, t in golden["start"].items()}
    few = [{p: opened(t) for p, t in each.items()} for each in golden["gradients"]]
    optimizers = make(params)
    for k, factor in enumerate(golden["factors"]):
        for p, t in params.items():
            t.grad = few[k % len(few)][p] * factor
        for optimizer in optimizers:
            optimizer.step()
    return {p: stored(t) for p, t in params.items()}


def groups(params, decay):
    """Matrices decay, vectors do not."""
    return [{"params": [t], "weight_decay": decay if t.dim() == 2 else 0.0} for t in params.values()]


def muon(params):
    hidden, rest = [[t for t in params.values() if (t.dim() == 2) == is_matrix] for is_matrix in (True, False)]
    return [torch.optim.Muon(hidden, lr=rate, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW([{"params": rest, "weight_decay": 0.0}], lr=rate, betas=(0.9, 0.95), eps=1e-8)]


newton_schulz = _muon._zeropower_via_newtonschulz


def in_float32(matrix, coefficients, steps, eps):
    """torch's own Newton-Schulz iteration with the one conversion to bfloat16 left out, as in make-optim.py."""
    class Full(torch.Tensor):
        def bfloat16(self):
            return self.clone()
    return torch.Tensor(newton_schulz(matrix.as_subclass(Full), coefficients, steps, eps))


_muon._zeropower_via_newtonschulz = in_float32
cases = [
    ({"type": "adamw", "beta1": 0.85, "beta2": 0.99, "weightDecay": 0.1}, lambda p: [torch.optim.AdamW(groups(p, 0.1), lr=rate, betas=(0.85, 0.99), eps=1e-8)], 1e-5),
    ({"type": "adafactor", "relativeStep": False, "scaleParameter": False, "beta1": 0.9, "weightDecay": 0.1},
     lambda p: [Adafactor(groups(p, 0.1), lr=rate, relative_step=False, scale_parameter=False, beta1=0.9)], 1e-5),
    ({"type": "lion", "weightDecay": 0.2, "beta1": 0.85}, lambda p: [Lion(groups(p, 0.2), lr=rate, betas=(0.85, 0.99))], 1e-5),
    ({"type": "sgd", "momentum": 0.8, "nesterov": True, "weightDecay": 0.05}, lambda p: [torch.optim.SGD(groups(p, 0.05), lr=rate, momentum=0.8, nesterov=True)], 1e-5),
    ({"type": "muon"}, muon, 1e-4),
]
kept = [case for case in golden["cases"] if case["config"]["type"] not in {config["type"] for config, _, _ in cases}]
golden["cases"] = kept + [{"config": config, "after": run(make), "tolerance": tolerance} for config, make, tolerance in cases]
path.write_bytes(gzip.compress(json.dumps(golden).encode(), 9, mtime=0))
