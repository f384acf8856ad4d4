"""Writes golden/operators.json.gz: what PyTorch answers to every operator of src/tensor/methods.ts and functions.ts, forward and gradient.

Run with any Python that has PyTorch 2.13: `python tests/parity/make-goldens.py`. The tests read only the result. Inputs are
not stored: `fill` here and in golden-tensors.ts is the same formula, whose values every dtype holds exactly.
Fused kernels have no twin in PyTorch: their reference is the plain composition in float32, in fused_cases.py.
"""

import base64
import gzip
import json
import re
import sys
from pathlib import Path

import torch

HERE = Path(__file__).parent
TABLE = "".join((HERE / f"../../src/tensor/{name}.ts").read_text() for name in ("methods", "functions"))
DTYPES = {name: getattr(torch, name) for name in "float32 float64 bfloat16 float16 int64 int32 int16 int8 uint8 bool".split()}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
REDUCTION = {"none": 0, "mean": 1, "sum": 2}
BOTH = ("float32", "bfloat16")


def declared():
    """operator -> its parameters as the table writes them"""
    texts = re.findall(r"'(\w+::[\w.]+\([^)]*\))'", TABLE)
    texts += [f"aten::{name}(self)" for name in re.findall(r"[^\w]unary\('(\w+)'\)", TABLE)]
    for name in re.findall(r"[^\w]binary\('(\w+)'\)", TABLE):
        texts += [f"aten::{name}.Tensor(self, other)", f"aten::{name}.Scalar(self, other)"]
    found = {}
    for text in texts:
        name, inside = text[:-1].split("(", 1)
        found[name] = [part.strip() for part in inside.split(",") if part.strip()]
    return found


DECLARED = declared()


def snake(name):
    return re.sub(r"[A-Z]", lambda letter: "_" + letter.group().lower(), name)


class T:
    """A tensor by formula."""

    seeds = 0

    def __init__(self, *shape, fill="spread", dtype=None, low=0, high=5, layout="rows", grad=True):
        T.seeds += 7
        self.spec = dict(shape=list(shape), fill=fill, seed=T.seeds % 256, low=low, high=high, layout=layout)
        self.dtype, self.grad = dtype, grad

    def encode(self, dtype):
        return {"tensor": {**self.spec, "dtype": self.dtype or dtype, "grad": self.grad}}

    def make(self, dtype):
        s = self.spec
        name = self.dtype or dtype
        shape = s["shape"][::-1] if s["layout"] == "transposed" else s["shape"]
        count = 1
        for size in shape:
            count *= size
        state = pow(3, s["seed"], 257)
        values = []
        for i in range(count):
            values.append(s["low"][i] if s["fill"] == "list" else fill(s["fill"], state, s["low"], s["high"]))
            state = state * 3 % 257
        tensor = torch.tensor(values, dtype=torch.float64).reshape(shape).to(DTYPES[name])
        if s["layout"] == "transposed":
            tensor = tensor.permute(*range(tensor.dim())[::-1])
        if tensor.is_floating_point() and self.grad:
            tensor.requires_grad_()
        return tensor


def fill(kind, state, low, high):
    """state runs through 1..256 in a fixed scrambled order, without repeats"""
    if kind == "spread":
        return (state - 128) / 64
    if kind == "positive":
        return state / 64
    if kind == "middle":
        return (state // 4 + 32) / 128
    if kind == "integers":
        return low + state % (high - low)
    if kind == "edges":
        return [float("nan"), float("inf"), float("-inf"), 0.0, -0.0, 1.5, -2.5, 3.0][state % 8]
    raise ValueError(kind)


def ids(*shape, low=0, high=5, dtype="int64"):
    return T(*shape, fill="integers", low=low, high=high, dtype=dtype)


def bools(*shape):
    return T(*shape, fill="integers", low=0, high=2, dtype="bool")


CASES = []


def case(entry, operator, *args, dtypes=BOTH, seed=None, values=True, reference=None, mutates=False, **options):
    """One case: `args` in the order of the positional parameters of the table's line."""
    CASES.append(dict(entry=entry, operator=operator, args=args, dtypes=dtypes, seed=seed, values=values, reference=reference, mutates=mutates, options=options))


def transform(value, leaf):
    if isinstance(value, (list, tuple)):
        return [transform(part, leaf) for part in value]
    return leaf(value)


def find(values, wanted):
    for value in values:
        if isinstance(value, (list, tuple)):
            yield from find(value, wanted)
        elif wanted(value):
            yield value


def encode_tensor(tensor):
    tensor = tensor.detach().contiguous()
    raw = tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor
    return {"shape": list(tensor.shape), "dtype": NAMES[tensor.dtype], "bytes": base64.b64encode(raw.numpy().tobytes()).decode()}


def run(spec, dtype):
    operator, options = spec["operator"], spec["options"]
    namespace, name = operator.split("::")
    name, overload = (name.split(".") + ["default"])[:2]
    parameters = DECLARED[operator]
    names = [snake(part) for part in parameters if part[0] not in "*-"]
    in_place = name.endswith("_")

    def decode(value):
        if isinstance(value, T):
            return value.make(dtype)
        if isinstance(value, dict):
            return torch.Generator().manual_seed(value["generator"])
        return DTYPES.get(value, value) if isinstance(value, str) else value

    args = [transform(value, decode) for value in spec["args"]]
    keywords = {snake(key): transform(value, decode) for key, value in options.items()}
    tensors = list(find([*args, *keywords.values()], lambda value: isinstance(value, torch.Tensor)))
    leaves = [tensor for tensor in tensors if tensor.requires_grad]
    if in_place:
        args[0] = transform(args[0], lambda tensor: tensor.clone())
    for key in keywords:
        if key == "reduction":
            keywords[key] = REDUCTION[keywords[key]]
    if spec["seed"] is not None:
        torch.manual_seed(spec["seed"])
    if spec["reference"] is not None:
        result = spec["reference"](*args, **keywords)
    else:
        call = getattr(getattr(getattr(torch.ops, namespace), name), overload)
        keywords |= dict(zip(names, args))
        for argument in call._schema.arguments:  # one size may stand for a list of them, as in PyTorch's own functions
            if "List[int]" in str(argument.type) and isinstance(keywords.get(argument.name), int):
                keywords[argument.name] = [keywords[argument.name]]
        result = call(**keywords)
    if spec["mutates"]:
        result = [*([result] if isinstance(result, torch.Tensor) else []), *find([*args, *keywords.values()], lambda value: isinstance(value, torch.Tensor))]
    results = list(result) if isinstance(result, (tuple, list)) else [result]
    outputs = []
    for value in results:
        if isinstance(value, torch.Tensor):
            outputs.append(encode_tensor(value) if spec["values"] else {"shape": list(value.shape), "dtype": NAMES[value.dtype]})
        else:
            outputs.append({"value": value})
    gradients = None
    live = [value for value in results if isinstance(value, torch.Tensor) and value.requires_grad]
    if live and leaves and spec["values"]:
        weights = []
        for i, value in enumerate(live):
            weight = T(*value.shape)
            weight.spec["seed"] = 100 + i
            weights.append(weight.make(NAMES[value.dtype]).detach())
        found = torch.autograd.grad(live, leaves, weights, allow_unused=True)
        gradients = [None if gradient is None else encode_tensor(gradient) for gradient in found]

    def encode(value):
        if isinstance(value, float) and value in (float("inf"), float("-inf")):
            return f"__{value}__"  # JSON has no infinities
        return value.encode(dtype) if isinstance(value, T) else value

    receiver = names.index("self") if "self" in names else 0
    return dict(
        entry=spec["entry"],
        operator=operator,
        dtype=dtype,
        receiver=receiver,
        args=[transform(value, encode) for value in spec["args"]],
        options={key: transform(value, encode) for key, value in options.items()},
        seed=spec["seed"],
        mutates=spec["mutates"],
        fused=spec["reference"] is not None,
        outputs=outputs,
        gradients=gradients,
    )


def main():
    import fused_cases
    import operator_cases

    operator_cases.declare(sys.modules[__name__])
    fused_cases.declare(sys.modules[__name__])
    done = []
    for spec in CASES:
        for dtype in spec["dtypes"]:
            try:
                done.append(run(spec, dtype))
            except Exception as fault:
                raise RuntimeError(f"{spec['entry']} {spec['operator']} {dtype} {spec['args']} {spec['options']}") from fault
    missing = sorted(set(DECLARED) - {one["operator"] for one in done})
    print("without a case:", missing)
    document = json.dumps({"torch": torch.__version__, "cases": done}, separators=(",", ":"), allow_nan=False)
    target = HERE / "golden" / "operators.json.gz"
    target.write_bytes(gzip.compress(document.encode(), 9, mtime=0))
    print(len(done), "cases,", target.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
