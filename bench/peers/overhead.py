"""What one call of a tiny operator costs in eager PyTorch; prints one JSON line."""
import json, time

import torch

torch.set_num_threads(1)
x, y = torch.ones(2, 2), torch.ones(2, 2)
w = torch.ones(2, 2, requires_grad=True)
cases = {"add": lambda: x + y, "view": lambda: x.view(4), "matmul": lambda: x @ y, "add, recorded": lambda: x + w}
result = {}
for name, call in cases.items():
    runs = []
    for _ in range(7):
        started = time.perf_counter()
        for _ in range(20000):
            call()
        runs.append((time.perf_counter() - started) / 20000 * 1e9)
    result[name] = min(runs)
print(json.dumps(result))
