# An independent NumPy reference of the merges of whole models, for merge.test.ts: python make-merge-golden.py > merge-golden.json
# linear: arXiv:2203.05482; SLERP: doi:10.1145/325334.325242; task arithmetic: arXiv:2212.04089; TIES: arXiv:2306.01708.
import json
import numpy as np

rng = np.random.default_rng(5)
base = rng.normal(size=(4, 6)).astype(np.float32)
models = [base + rng.normal(scale=0.3, size=base.shape).astype(np.float32) for _ in range(3)]
weights = [1.0, 0.5, 0.25]


def linear(xs, ws):
    return np.average(np.stack(xs), axis=0, weights=ws)


def slerp(a, b, t):
    a, b = a.astype(np.float64), b.astype(np.float64)
    omega = np.arccos(np.dot(a.ravel(), b.ravel()) / np.linalg.norm(a) / np.linalg.norm(b))
    return (np.sin((1 - t) * omega) * a + np.sin(t * omega) * b) / np.sin(omega)


def ties(xs, ws, density):
    deltas = []
    for x, w in zip(xs, ws):
        d = (x - base).astype(np.float64)
        threshold = np.sort(np.abs(d).ravel())[d.size - int(density * d.size)]
        deltas.append((np.where(np.abs(d) >= threshold, d, 0), w))
    out = np.zeros_like(base, dtype=np.float64)
    for place in np.ndindex(base.shape):
        sign = np.sign(sum(w * d[place] for d, w in deltas))
        chosen = [(d[place], w) for d, w in deltas if d[place] != 0 and np.sign(d[place] * w) == sign]
        if chosen:
            out[place] = sum(d * w for d, w in chosen) / sum(w for _, w in chosen)
    return base + out


flat = lambda x: [float(v) for v in np.asarray(x).ravel()]
print(json.dumps({
    "shape": list(base.shape),
    "base": flat(base),
    "models": [flat(m) for m in models],
    "weights": weights,
    "linear": flat(linear(models, weights)),
    "slerp": flat(slerp(models[0], models[1], 0.3)),
    "task-arithmetic": flat(base + 0.8 * sum(w * (m - base) for m, w in zip(models, weights))),
    "ties": flat(base + 1.0 * (ties(models, weights, 0.5) - base)),
}))
