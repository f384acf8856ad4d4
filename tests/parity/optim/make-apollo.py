"""50 steps of APOLLO by its reference, into golden/optim-50.json.gz beside the cases of make-optim.py, whose inputs it takes.
  python make-apollo.py   (wants torch, transformers, bitsandbytes and apollo-torch)"""
import base64
import gzip
import hashlib
import json
import math
from pathlib import Path

import numpy as np
import torch
from apollo_torch import APOLLOAdamW
from apollo_torch.random_projector import GradientProjector

path = Path(__file__).parent / "golden" / "optim-50.json.gz"
golden = json.loads(gzip.decompress(path.read_bytes()))


def opened(one):
    return torch.from_numpy(np.frombuffer(base64.b64decode(one["bytes"]), np.float32).copy()).view(one["shape"])


def stored(tensor):
    return {"shape": list(tensor.shape), "dtype": "float32", "bytes": base64.b64encode(tensor.detach().contiguous().numpy().tobytes()).decode()}


class Seeded(GradientProjector):
    """The reference's projection, from our seeds: of the parameter and the number of changes."""
    parameter = ""

    def update_ortho_matrix(self, grad, proj_type):
        self.changes = getattr(self, "changes", -1) + 1
        seed = int.from_bytes(hashlib.sha256(f"apollo/{self.parameter}/{self.changes}".encode()).digest()[:6], "big")
        self.ortho_matrix = self.get_orthogonal_matrix(grad, self.rank, type=proj_type, seed=seed)


class Reference(APOLLOAdamW):
    def _initialize_projector(self, group, state):
        made = Seeded(group["rank"], update_proj_gap=group["update_proj_gap"], scale=group["scale"], proj_type="std")
        made.parameter = group["name"]
        return made


def run(rank, gap, scale, kind):
    params = {p: torch.nn.Parameter(opened(t)) for p, t in golden["start"].items()}
    few = [{p: opened(t) for p, t in g.items()} for g in golden["gradients"]]
    groups = [{"params": [t], "weight_decay": 0.1 if t.dim() == 2 else 0.0,
               **({"rank": rank, "update_proj_gap": gap, "scale": scale, "scale_type": kind, "proj": "random", "proj_type": "std", "name": p} if ".layers." in p else {})}
              for p, t in params.items()]
    optimizer = Reference(groups, lr=golden["rate"])
    for k, factor in enumerate(golden["factors"]):
        for p, t in params.items():
            t.grad = few[k % 5][p] * factor
        optimizer.step()
    return {p: stored(t) for p, t in params.items()}


golden["cases"] = [one for one in golden["cases"] if one["config"]["type"] != "apollo"] + [
    {"config": {"type": "apollo", "rank": rank, "interval": gap, "scale": scale, "scaling": kind, "weightDecay": 0.1}, "after": run(rank, gap, scale, kind), "tolerance": 1e-5}
    for rank, gap, scale, kind in [(5, 20, 1, "channel"), (1, 15, 128, "tensor")]
]
path.write_bytes(gzip.compress(json.dumps(golden).encode(), 9, mtime=0))
