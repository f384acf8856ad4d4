"""Five steps of every optimizer by its reference, and the schedules of transformers, with odd settings.
  python make-optim.py   (writes golden/optim.json.gz beside itself; wants torch, transformers, lion-pytorch, schedulefree and galore-torch)"""
import base64
import copy
import gzip
import json
import math
from pathlib import Path

import numpy as np
import torch
from galore_torch import GaLoreAdamW
from lion_pytorch import Lion
from schedulefree import AdamWScheduleFree
from torch.optim import _muon
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import Adafactor
from transformers.optimization import (get_constant_schedule_with_warmup, get_cosine_schedule_with_warmup, get_cosine_with_hard_restarts_schedule_with_warmup, get_cosine_with_min_lr_schedule_with_warmup,
                                       get_inverse_sqrt_schedule, get_linear_schedule_with_warmup, get_polynomial_decay_schedule_with_warmup, get_wsd_schedule)

STEPS = 5
SHAPES = {
    "body.embedTokens.weight": (11, 6),
    "body.layers.0.mlp.upProj.weight": (12, 6),
    "body.layers.0.mlp.upProj.bias": (12,),
    "body.layers.1.mlp.downProj.weight": (6, 12),
    "body.layers.1.attention.oProj.weight": (7, 7),
    "body.finalNorm.weight": (6,),
    "head.lmHead.weight": (11, 6),
    "head.scale": (1,),
}
HIDDEN = [p for p in SHAPES if ".layers." in p and len(SHAPES[p]) == 2]
RATES = [0.01, 0.02, 0.03, 0.02, 0.005]
CLIP = 3.0


def stored(tensor):
    names = {torch.float32: "float32", torch.bfloat16: "bfloat16"}
    raw = tensor.detach().contiguous().view(torch.uint8 if tensor.numel() and tensor.dim() else tensor.dtype)
    return {"shape": list(tensor.shape), "dtype": names[tensor.dtype], "bytes": base64.b64encode(raw.numpy().tobytes()).decode()}


def draw(dtype=torch.float32):
    g = torch.Generator().manual_seed(20261125)
    start = {p: (torch.randn(s, generator=g) * 0.5).to(dtype) for p, s in SHAPES.items()}
    # The scale of gradients differs between parameters and steps, as it does in training.
    grads = [{p: (torch.randn(s, generator=g) * (0.1 + i) * (1 + 0.5 * k)).to(dtype) for i, (p, s) in enumerate(SHAPES.items())} for k in range(STEPS)]
    return start, grads


def decays(path, weight_decay):
    return weight_decay if len(SHAPES[path]) >= 2 else 0.0


def run(make, dtype=torch.float32, missing=None, layer_decay=1.0):
    """`make(parameters)` gives optimizers over float32 parameters by path; returns what they hold after each step."""
    start, grads = draw(dtype)
    params = {p: torch.nn.Parameter(t.float().clone()) for p, t in start.items()}
    optimizers = make(params)
    base = [[g.get("ratio", 1.0) for g in o.param_groups] for o in optimizers]
    after = []
    for k in range(STEPS):
        for p, param in params.items():
            param.grad = None if (p, k) in (missing or ()) else grads[k][p].float().clone()
        torch.nn.utils.clip_grad_norm_([q for q in params.values() if q.grad is not None], CLIP)
        for o, ratios in zip(optimizers, base):
            for group, ratio in zip(o.param_groups, ratios):
                group["lr"] = RATES[k] * ratio if RATES[k] is not None else None
            o.step()
        after.append({p: stored(t.detach().to(dtype)) for p, t in params.items()})
    return {"after": after}


def groups(params, weight_decay, ratio=lambda p: 1.0):
    return [{"params": [t], "weight_decay": decays(p, weight_decay), "ratio": ratio(p)} for p, t in params.items()]


class Relative(Adafactor):
    """Lets the loop above set a rate, which relative steps ignore; `times` longer steps show more of the small ones."""
    times = 1.0

    @classmethod
    def _get_lr(cls, group, state):
        return cls.times * Adafactor._get_lr(group, state)

    def step(self):
        for group in self.param_groups:
            group["lr"] = None
        super().step()


class Longer(Relative):
    times = 3000.0


def adafactor(kind=Adafactor, weight_decay=0.0, **options):
    return lambda params: [kind(groups(params, weight_decay), **options)]


def muon(adjust, other=1.0):
    def make(params):
        hidden = [{"params": [t], "ratio": 1.0} for p, t in params.items() if p in HIDDEN]
        rest = {p: t for p, t in params.items() if p not in HIDDEN}
        return [torch.optim.Muon(hidden, weight_decay=0.1, adjust_lr_fn=adjust),
                torch.optim.AdamW(groups(rest, 0.1, lambda p: other), betas=(0.9, 0.95), eps=1e-8)]
    return make


def in_float32(matrix, coefficients, steps, eps):
    """torch's own Newton-Schulz iteration with the one conversion to bfloat16 left out."""
    class Full(torch.Tensor):
        def bfloat16(self):
            return self.clone()
    return torch.Tensor(newton_schulz(matrix.as_subclass(Full), coefficients, steps, eps))


newton_schulz = _muon._zeropower_via_newtonschulz


def with_float32(make):
    _muon._zeropower_via_newtonschulz = in_float32
    try:
        return run(make)
    finally:
        _muon._zeropower_via_newtonschulz = newton_schulz


def layer_ratio(path, decay=0.7, layers=2):
    depth = 0 if "embed" in path else int(path.split(".")[2]) + 1 if ".layers." in path else layers + 1
    return decay ** (layers + 1 - depth)


class ScheduleFree(AdamWScheduleFree):
    """In training from the start; the loop above reads the weights that are trained."""
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.train()


# One projection: signs of singular vectors are free, and later ones would meet averages of the first.
def galore(params):
    hidden = [{"params": [t], "rank": 3, "update_proj_gap": 100, "scale": 0.25, "proj_type": "std", "weight_decay": 0.1} for p, t in params.items() if p in HIDDEN]
    return [GaLoreAdamW(groups({p: t for p, t in params.items() if p not in HIDDEN}, 0.1) + hidden, eps=1e-6, no_deprecation_warning=True)]


adamw = lambda params: [torch.optim.AdamW(groups(params, 0.1), betas=(0.8, 0.95), eps=1e-6)]
ADAMW = {"type": "adamw", "beta1": 0.8, "beta2": 0.95, "eps": 1e-6, "weightDecay": 0.1}
skipped = {(p, k) for p, k in [("head.scale", 0), ("head.scale", 1), ("body.embedTokens.weight", 2)]}
CASES = {
    "adamw": (ADAMW, run(adamw), {}),
    "adamw with parameters that have no gradient at times": (ADAMW, run(adamw, missing=skipped), {"missing": sorted(map(list, skipped))}),
    "adamw in bfloat16": (ADAMW, run(adamw, torch.bfloat16), {"dtype": "bfloat16"}),
    "adamw with layer decay": ({**ADAMW, "layerDecay": 0.7}, run(lambda params: [torch.optim.AdamW(groups(params, 0.1, layer_ratio), betas=(0.8, 0.95), eps=1e-6)]), {}),
    "adafactor with relative steps": ({"type": "adafactor"}, run(adafactor(Relative)), {"rates": [1.0] * STEPS}),
    "adafactor with relative steps and warm-up": ({"type": "adafactor", "warmupInit": True, "scaleParameter": False}, run(adafactor(Longer, warmup_init=True, scale_parameter=False)), {"rates": [3000.0] * STEPS}),
    "adafactor with a schedule": ({"type": "adafactor", "relativeStep": False, "scaleParameter": False, "clipThreshold": 0.7},
                                  run(adafactor(relative_step=False, scale_parameter=False, clip_threshold=0.7)), {}),
    "adafactor with first moment and decay": ({"type": "adafactor", "relativeStep": False, "beta1": 0.9, "weightDecay": 0.1, "decayRate": -0.6},
                                              run(adafactor(relative_step=False, beta1=0.9, weight_decay=0.1, decay_rate=-0.6)), {}),
    "lion": ({"type": "lion", "weightDecay": 0.2, "beta1": 0.85}, run(lambda params: [Lion(groups(params, 0.2), betas=(0.85, 0.99))]), {}),
    "sgd": ({"type": "sgd", "momentum": 0}, run(lambda params: [torch.optim.SGD(groups(params, 0.0))]), {}),
    "sgd with momentum, dampening and decay": ({"type": "sgd", "momentum": 0.8, "dampening": 0.3, "weightDecay": 0.05},
                                               run(lambda params: [torch.optim.SGD(groups(params, 0.05), momentum=0.8, dampening=0.3)]), {}),
    "sgd with nesterov": ({"type": "sgd", "nesterov": True}, run(lambda params: [torch.optim.SGD(groups(params, 0.0), momentum=0.9, nesterov=True)]), {}),
    "adamw-schedule-free": ({"type": "adamw-schedule-free", "weightDecay": 0.1, "beta1": 0.85}, run(lambda params: [ScheduleFree(groups(params, 0.1), betas=(0.85, 0.999))]), {}),
    "galore": ({"type": "galore", "rank": 3, "interval": 100, "weightDecay": 0.1}, run(galore), {"tolerance": 1e-5}),
    "muon": ({"type": "muon", "adjustment": "original", "otherLearningRateScale": 0.5}, with_float32(muon("original", 0.5)), {}),
    "muon matching adamw": ({"type": "muon"}, with_float32(muon("match_rms_adamw")), {}),
    "muon in bfloat16 arithmetic": ({"type": "muon", "newtonSchulzDtype": "bfloat16"}, run(muon("match_rms_adamw")), {"tolerance": 1e-3}),
}


def schedule(make, steps):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    s = make(optimizer)
    values = []
    for _ in range(steps):
        values.append(s.get_last_lr()[0])
        optimizer.step()
        s.step()
    return values


TOTAL = 40
wsd = dict(num_warmup_steps=6, num_training_steps=TOTAL)
SCHEDULES = [
    ({"type": "constant", "warmupSteps": 7}, lambda o: get_constant_schedule_with_warmup(o, 7)),
    ({"type": "constant"}, lambda o: get_constant_schedule_with_warmup(o, 0)),
    ({"type": "linear", "warmupSteps": 7}, lambda o: get_linear_schedule_with_warmup(o, 7, TOTAL)),
    ({"type": "linear"}, lambda o: get_linear_schedule_with_warmup(o, 0, TOTAL)),
    ({"type": "linear", "warmupSteps": 50}, lambda o: get_linear_schedule_with_warmup(o, 50, TOTAL)),
    ({"type": "cosine", "warmupShare": 0.11}, lambda o: get_cosine_schedule_with_warmup(o, 5, TOTAL)),
    ({"type": "cosine", "warmupSteps": 4, "floor": 0.1}, lambda o: get_cosine_with_min_lr_schedule_with_warmup(o, 4, TOTAL, min_lr_rate=0.1)),
    ({"type": "cosine-restarts", "warmupSteps": 4, "cycles": 3}, lambda o: get_cosine_with_hard_restarts_schedule_with_warmup(o, 4, TOTAL, num_cycles=3)),
    ({"type": "polynomial", "warmupSteps": 3, "power": 1.7, "floor": 0.05}, lambda o: get_polynomial_decay_schedule_with_warmup(o, 3, TOTAL, lr_end=0.05, power=1.7)),
    ({"type": "inverse-square-root", "warmupSteps": 5}, lambda o: get_inverse_sqrt_schedule(o, 5)),
    ({"type": "inverse-square-root", "warmupSteps": 5, "timescale": 13}, lambda o: get_inverse_sqrt_schedule(o, 5, 13)),
    ({"type": "inverse-square-root"}, lambda o: get_inverse_sqrt_schedule(o, 0)),
    ({"type": "warmup-stable-decay", "warmupSteps": 6, "decayShare": 0.2}, lambda o: get_wsd_schedule(o, num_decay_steps=8, decay_type="1-sqrt", **wsd)),
    ({"type": "warmup-stable-decay", "warmupSteps": 6, "decaySteps": 11, "decayShape": "linear"}, lambda o: get_wsd_schedule(o, num_decay_steps=11, decay_type="linear", **wsd)),
    ({"type": "warmup-stable-decay", "decaySteps": 11, "decayShape": "cosine", "floor": 0.2},
     lambda o: get_wsd_schedule(o, 0, 11, num_training_steps=TOTAL, decay_type="cosine", min_lr_ratio=0.2)),
]


def average(decay):
    start, grads = draw()
    model = torch.nn.Module()
    for i, t in enumerate(start.values()):
        model.register_parameter(str(i), torch.nn.Parameter(t.clone()))
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))
    after = []
    for k in range(STEPS):
        with torch.no_grad():
            for p, g in zip(model.parameters(), grads[k].values()):
                p.add_(g)
        averaged.update_parameters(model)
        after.append({path: stored(t) for path, t in zip(SHAPES, averaged.module.parameters())})
    return {"decay": decay, "after": after}


def mean():
    """torch's average of weights alike (SWA), from the third step on."""
    start, grads = draw()
    model = torch.nn.Module()
    for i, t in enumerate(start.values()):
        model.register_parameter(str(i), torch.nn.Parameter(t.clone()))
    averaged = AveragedModel(model)
    for k in range(STEPS):
        with torch.no_grad():
            for p, g in zip(model.parameters(), grads[k].values()):
                p.add_(g)
        if k >= 2:
            averaged.update_parameters(model)
    return {path: stored(t) for path, t in zip(SHAPES, averaged.module.parameters())}


SIZES = {"body.layers.0.mlp.upProj.weight": (64, 80), "body.finalNorm.weight": (80,)}


def many_inputs():
    g = torch.Generator().manual_seed(7)
    start = {p: torch.randn(s, generator=g) * 0.5 for p, s in SIZES.items()}
    # Elements of very different sizes, some without a gradient at times.
    scales = {p: 10 ** (-3 * torch.rand(s, generator=g)) for p, s in SIZES.items()}
    few = [{p: torch.randn(s, generator=g) * scales[p] * (torch.rand(s, generator=g) > 0.1) for p, s in SIZES.items()} for _ in range(5)]
    factors = [round(1 + 0.5 * math.sin(3 * k), 3) for k in range(50)]
    return start, few, factors


def eight_bits(rate, betas, eps, decay):
    """bitsandbytes' block-wise AdamW in NumPy: create_dynamic_map and kOptimizerStatic8bit2StateBlockwise."""
    def dynamic_map(signed):
        data = [0.0, 1.0]
        for i in range(7):
            bounds = np.linspace(0.1, 1, (2 ** i if signed else 2 ** (i + 1)) + 1)
            means = (bounds[:-1] + bounds[1:]) / 2 * 10.0 ** (i - 6)
            data += means.tolist() + ((-means).tolist() if signed else [])
        return np.sort(np.array(data, dtype=np.float32))

    def pack(values, book, signed):
        padded = np.zeros(-(-values.size // 256) * 256, np.float32)
        padded[:values.size] = values
        scales = np.abs(padded.reshape(-1, 256)).max(1)
        share = (padded.reshape(-1, 256) / np.maximum(scales, 1e-38)[:, None]).reshape(-1)[:values.size]
        codes = np.abs(share[:, None] - book[None, :]).argmin(1)
        if signed:
            wrong = np.signbit(book[codes]) != (values < 0)
            codes = codes + np.where(wrong, np.where(values < 0, -1, 1), 0)
        return codes, scales

    def unpack(state, book, size):
        return book[state[0]] * np.repeat(state[1], 256)[:size]

    start, few, factors = many_inputs()
    grads = [{p: t * f for p, t in few[k % 5].items()} for k, f in enumerate(factors)]
    weights = {p: t.numpy().reshape(-1).astype(np.float32).copy() for p, t in start.items()}
    books = (dynamic_map(True), dynamic_map(False))
    states = {p: [pack(np.zeros_like(w), book, signed) for book, signed in zip(books, (True, False))] for p, w in weights.items()}
    wide = {p: [np.zeros_like(w), np.zeros_like(w)] for p, w in weights.items()}
    for k, grad in enumerate(grads):
        c1, c2 = 1 - betas[0] ** (k + 1), np.sqrt(1 - betas[1] ** (k + 1))
        for p, w in weights.items():
            g = grad[p].numpy().reshape(-1)
            small = w.size < 4096
            m, v = wide[p] if small else [unpack(s, book, w.size) for s, book in zip(states[p], books)]
            m = np.float32(betas[0]) * m + np.float32(1 - betas[0]) * g
            v = np.float32(betas[1]) * v + np.float32(1 - betas[1]) * g * g
            w += np.float32(-rate * c2 / c1) * (m / (np.sqrt(v) + np.float32(c2 * eps)))
            if w.size >= 4096 or p == "body.layers.0.mlp.upProj.weight":
                w *= np.float32(1 - rate * decay)
            if small:
                wide[p] = [m, v]
            else:
                states[p] = [pack(m, books[0], True), pack(v, books[1], False)]
    return {p: stored(torch.from_numpy(w.reshape(SIZES[p]))) for p, w in weights.items()}


def many():
    start, few, factors = many_inputs()
    grads = [{p: t * f for p, t in few[k % 5].items()} for k, f in enumerate(factors)]
    rate = 0.01
    def torch_run(make):
        params = {p: torch.nn.Parameter(t.clone()) for p, t in start.items()}
        optimizer = make(params)
        for grad in grads:
            for p, t in params.items():
                t.grad = grad[p].clone()
            optimizer.step()
        return params, optimizer
    def two(params, decay):
        return [{"params": [t], "weight_decay": decay if t.dim() == 2 else 0.0} for t in params.values()]
    free, optimizer = torch_run(lambda params: ScheduleFree(two(params, 0.1), lr=rate, betas=(0.9, 0.99)))
    trained = {p: stored(t) for p, t in free.items()}
    optimizer.eval()
    low, _ = torch_run(lambda params: GaLoreAdamW([{"params": [params["body.finalNorm.weight"]], "weight_decay": 0.0},
                                                   {"params": [params["body.layers.0.mlp.upProj.weight"]], "rank": 5, "update_proj_gap": 100, "scale": 0.5, "proj_type": "std", "weight_decay": 0.1}],
                                                  lr=rate, no_deprecation_warning=True))
    return {
        "rate": rate, "start": {p: stored(t) for p, t in start.items()}, "gradients": [{p: stored(t) for p, t in g.items()} for g in few], "factors": factors,
        "cases": [
            {"config": {"type": "adamw-8bit", "weightDecay": 0.1, "beta1": 0.9, "beta2": 0.99}, "after": eight_bits(rate, (0.9, 0.99), 1e-8, 0.1), "tolerance": 1e-5},
            {"config": {"type": "adamw-schedule-free", "weightDecay": 0.1, "beta2": 0.99}, "after": trained, "evaluated": {p: stored(t) for p, t in free.items()}, "tolerance": 1e-5},
            {"config": {"type": "galore", "rank": 5, "interval": 100, "scale": 0.5, "weightDecay": 0.1}, "after": {p: stored(t) for p, t in low.items()}, "tolerance": 1e-4},
        ],
    }


def inputs(dtype):
    start, grads = draw(dtype)
    return {"start": {p: stored(t) for p, t in start.items()}, "gradients": [{p: stored(t) for p, t in g.items()} for g in grads]}


golden = {
    "torch": torch.__version__, "rates": RATES, "maxGradientNorm": CLIP,
    "inputs": {"float32": inputs(torch.float32), "bfloat16": inputs(torch.bfloat16)},
    "cases": [{"name": name, "config": config, **extra, **result} for name, (config, result, extra) in CASES.items()],
    "schedules": {"totalSteps": TOTAL, "cases": [{"config": copy.deepcopy(c), "values": schedule(m, TOTAL + 5 if c["type"] != "cosine" else TOTAL + 1)} for c, m in SCHEDULES]},
    "average": average(0.7), "mean": mean(),
}
out = Path(__file__).parent / "golden"
out.mkdir(exist_ok=True)
with open(out / "optim.json.gz", "wb") as file:
    file.write(gzip.compress(json.dumps(golden).encode(), 9, mtime=0))
with open(out / "optim-50.json.gz", "wb") as file:
    file.write(gzip.compress(json.dumps(many()).encode(), 9, mtime=0))
