"""The cases of make-goldens.py for the fused kernels: the reference is the plain composition, computed in float32."""

import torch
import torch.nn.functional as F


def wide(value):
    return None if value is None else value.float()


def declare(g):
    T, case, ids = g.T, g.case, g.ids

    def linear(input, weight, bias):
        return F.linear(wide(input), wide(weight), wide(bias)).to(input.dtype)

    case("linear", "tunesmith::linear", T(3, 5), T(7, 5), None, reference=linear)
    case("linear", "tunesmith::linear", T(2, 3, 17), T(9, 17), T(9), reference=linear)
    case("linear", "tunesmith::linear", T(5), T(3, 5), T(3), reference=linear)
    case("linear", "tunesmith::linear", T(0, 5), T(3, 5), T(3), reference=linear)
    case("linear", "tunesmith::linear", T(13, 4, layout="transposed"), T(6, 4, layout="transposed"), None, reference=linear)

    def linear_cross_entropy(hidden, weight, bias, targets, vocab_size=-1, ignore_index=-100, label_smoothing=0.0, chunk_size=512):
        logits = F.linear(wide(hidden), wide(weight), wide(bias)).reshape(-1, weight.shape[0])
        if vocab_size >= 0:
            logits = logits[:, :vocab_size]
        flat = targets.reshape(-1)
        loss = F.cross_entropy(logits, flat, ignore_index=ignore_index, label_smoothing=label_smoothing, reduction="sum")
        return loss, (flat != ignore_index).sum().float()

    name = "tunesmith::linear_cross_entropy"
    case("linearCrossEntropy", name, T(6, 5), T(11, 5), None, ids(6, high=11), reference=linear_cross_entropy)
    case("linearCrossEntropy", name, T(2, 7, 8), T(16, 8), T(16), ids(2, 7, high=13), vocabSize=13, labelSmoothing=0.1, chunkSize=3, reference=linear_cross_entropy)
    case("linearCrossEntropy", name, T(9, 4), T(5, 4), T(5), ids(9), ignoreIndex=2, chunkSize=4, reference=linear_cross_entropy)

    def add_layer_norm(input, residual, weight, bias, eps):
        sum_type = input.dtype if residual is None or residual.dtype == input.dtype else torch.float32
        total = wide(input) if residual is None else wide(input) + wide(residual)
        return total.to(sum_type), F.layer_norm(total, weight.shape, wide(weight), wide(bias), eps).to(narrower(input, weight))

    def add_rms_norm(input, residual, weight, eps):
        sum_type = input.dtype if residual is None or residual.dtype == input.dtype else torch.float32
        total = wide(input) if residual is None else wide(input) + wide(residual)
        return total.to(sum_type), F.rms_norm(total, weight.shape, wide(weight), eps).to(narrower(input, weight))

    def narrower(a, b):
        return torch.bfloat16 if torch.bfloat16 in (a.dtype, b.dtype) else torch.float32

    for shape in [(3, 7), (2, 3, 33), (0, 5)]:
        width = shape[-1]
        case("addLayerNorm", "tunesmith::add_layer_norm", T(*shape), T(*shape), T(width), T(width), 1e-5, reference=add_layer_norm)
        case("addLayerNorm", "tunesmith::add_layer_norm", T(*shape), None, T(width), None, 1e-3, reference=add_layer_norm)
        case("addRmsNorm", "tunesmith::add_rms_norm", T(*shape), T(*shape), T(width), 1e-5, reference=add_rms_norm)
        case("addRmsNorm", "tunesmith::add_rms_norm", T(*shape), None, T(width), 1e-3, reference=add_rms_norm)
    case("addLayerNorm", "tunesmith::add_layer_norm", T(3, 7), T(3, 7, dtype="float32"), T(7, dtype="float32"), T(7, dtype="float32"), 1e-5, dtypes=("bfloat16",), reference=add_layer_norm)

    def fused_gelu(input, approximate="none"):
        return F.gelu(wide(input), approximate=approximate).to(input.dtype)

    for approximate in ["none", "tanh"]:
        case("fusedGelu", "tunesmith::gelu", T(3, 37), approximate=approximate, reference=fused_gelu)
    case("fusedGelu", "tunesmith::gelu", T(0, 3), reference=fused_gelu)
    case("fusedGelu", "tunesmith::gelu", T(5, 3, layout="transposed"), reference=fused_gelu)

    def swiglu(gate, up):
        return (F.silu(wide(gate)) * wide(up)).to(gate.dtype)

    case("swiglu", "tunesmith::swiglu", T(3, 37), T(3, 37), reference=swiglu)
    case("swiglu", "tunesmith::swiglu", T(0), T(0), reference=swiglu)

    def embedding(weight, ids, padding_idx=-1):
        return F.embedding(ids, weight, None if padding_idx < 0 else padding_idx)

    case("embedding", "tunesmith::embedding", T(5, 7), ids(3, 11), reference=embedding)
    case("embedding", "tunesmith::embedding", T(5, 7), ids(12), paddingIdx=2, reference=embedding)
    case("embedding", "tunesmith::embedding", T(5, 7), ids(0), reference=embedding)

    # AdamW by the definition of arXiv:1711.05101 in float64; the working copies are the new weights in bfloat16.
    def adamw(params, exp_avgs, exp_avg_sqs, working_copies, grads, learning_rates, weight_decays, beta1, beta2, eps, step, grad_scale=None):
        with torch.no_grad():
            for p, m, v, copy, gradient, rate, decay in zip(params, exp_avgs, exp_avg_sqs, working_copies, grads, learning_rates, weight_decays):
                gradient = gradient.double() * (1.0 if grad_scale is None else grad_scale.double())
                first = beta1 * m.double() + (1 - beta1) * gradient
                second = beta2 * v.double() + (1 - beta2) * gradient**2
                new = p.double() * (1 - rate * decay)
                new = new - rate * (first / (1 - beta1**step)) / ((second / (1 - beta2**step)).sqrt() + eps)
                m.copy_(first), v.copy_(second), p.copy_(new)
                if copy.numel() > 0:
                    copy.copy_(new.float())

    def plain(*shape, **options):
        return T(*shape, grad=False, **options)

    single = dict(dtype="float32")
    for extra in [{}, {"gradScale": plain(fill="positive", **single)}]:
        for gradient_type in ["float32", "bfloat16"]:
            case(
                "adamw_",
                "tunesmith::adamw_",
                [plain(3, 7, **single), plain(33, **single)],
                expAvgs=[plain(3, 7, **single), plain(33, **single)],
                expAvgSqs=[plain(3, 7, fill="positive", **single), plain(33, fill="positive", **single)],
                workingCopies=[plain(3, 7, dtype="bfloat16"), plain(0, dtype="bfloat16")],
                grads=[plain(3, 7, dtype=gradient_type), plain(33, dtype=gradient_type)],
                learningRates=[0.01, 0.002],
                weightDecays=[0.1, 0],
                beta1=0.9,
                beta2=0.99,
                eps=1e-8,
                step=3,
                **extra,
                dtypes=("float32",),
                mutates=True,
                reference=adamw,
            )

    def norm(grads):
        return torch.stack([gradient.double().square().sum() for gradient in grads]).sum().sqrt().float()

    def clip(grads, max_norm, scale=1.0):
        with torch.no_grad():
            total = norm(grads) * abs(scale)
            factor = scale * min(1.0, max_norm / (float(total) + 1e-6))
            for gradient in grads:
                gradient.copy_(gradient.float() * factor)
        return total

    case("gradNorm", "tunesmith::grad_norm", [plain(3, 7), plain(40), plain(0)], reference=norm)
    for most in [1.0, 1000.0]:
        case("clipGradNorm_", "tunesmith::clip_grad_norm_", [plain(3, 7), plain(7, 3, layout="transposed")], most, mutates=True, reference=clip)
    case("clipGradNorm_", "tunesmith::clip_grad_norm_", [plain(3, 7)], 0.5, 0.25, mutates=True, reference=clip)

    def rotary(input, cos, sin, interleaved=False):
        half = cos.shape[-1]
        c, s = cos.float().unsqueeze(-2), sin.float().unsqueeze(-2)  # [T,1,R/2] or [B,T,1,R/2], against [B,T,H,R/2]
        turned, rest = wide(input)[..., : 2 * half], wide(input)[..., 2 * half :]
        a, b = (turned[..., 0::2], turned[..., 1::2]) if interleaved else (turned[..., :half], turned[..., half:])
        left, right = a * c - b * s, b * c + a * s
        joined = torch.stack([left, right], -1).flatten(-2) if interleaved else torch.cat([left, right], -1)
        return torch.cat([joined, rest], -1).to(input.dtype)

    def angles(*shape):
        return [T(*shape, grad=False, dtype="float32"), T(*shape, grad=False, dtype="float32")]

    case("rotary", "tunesmith::rotary", T(2, 3, 2, 8), *angles(3, 4), reference=rotary)
    case("rotary", "tunesmith::rotary", T(2, 3, 2, 8), *angles(3, 4), interleaved=True, reference=rotary)
    case("rotary", "tunesmith::rotary", T(2, 3, 1, 10), *angles(2, 3, 3), reference=rotary)
    case("rotary", "tunesmith::rotary", T(1, 0, 2, 4), *angles(0, 2), reference=rotary)

    def attention(query, key, value, mask=None, query_starts=None, key_starts=None, causal=False, window=0, scale=None):
        batch, queries, heads, size = query.shape
        keys = key.shape[1]
        k = wide(key).repeat_interleave(heads // key.shape[2], 2)
        v = wide(value).repeat_interleave(heads // key.shape[2], 2)
        scores = torch.einsum("bthd,bshd->bhts", wide(query), k) * (size**-0.5 if scale is None else scale)
        seen = torch.ones(queries, keys, dtype=torch.bool)
        if query_starts is None:
            spans = [(0, queries, 0, keys)]
        else:
            q, s = query_starts.tolist(), (query_starts if key_starts is None else key_starts).tolist()
            spans = list(zip(q, q[1:], s, s[1:]))
            seen[:] = False
        for q0, q1, k0, k1 in spans:
            position = torch.arange(q1 - q0).unsqueeze(1) + (k1 - k0) - (q1 - q0)  # the last query sees the last key
            distance = position - torch.arange(k1 - k0)
            block = torch.ones_like(distance, dtype=torch.bool)
            if causal:
                block &= distance >= 0
            if window > 0:
                block &= distance.abs() < window
            seen[q0:q1, k0:k1] = block
        scores = scores.masked_fill(~seen, float("-inf"))
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf")) if mask.dtype == torch.bool else scores + wide(mask)
        weights = scores.softmax(-1).nan_to_num(0.0)  # a row that sees nothing gives zeros
        return torch.einsum("bhts,bshd->bthd", weights, v).to(query.dtype)

    name = "tunesmith::attention"

    def heads(batch, queries, keys, query_heads, key_heads, size):
        return [T(batch, queries, query_heads, size), T(batch, keys, key_heads, size), T(batch, keys, key_heads, size)]

    case("attention", name, *heads(2, 5, 7, 2, 2, 4), reference=attention)
    case("attention", name, *heads(1, 5, 5, 4, 2, 9), causal=True, scale=0.4, reference=attention)
    case("attention", name, *heads(1, 3, 6, 2, 1, 8), causal=True, reference=attention)
    case("attention", name, *heads(1, 9, 9, 1, 1, 4), causal=True, window=3, reference=attention)
    case("attention", name, *heads(1, 7, 7, 2, 2, 4), window=2, reference=attention)
    case("attention", name, *heads(2, 3, 5, 2, 2, 4), mask=T(2, 1, 1, 5, fill="integers", low=0, high=2, dtype="bool"), reference=attention)
    case("attention", name, *heads(2, 3, 5, 2, 2, 4), mask=T(3, 5, grad=False), reference=attention)
    starts = [0, 3, 4, 9]
    case("attention", name, *heads(1, 9, 9, 2, 1, 4), queryStarts=T(4, fill="list", low=starts, dtype="int64"), causal=True, reference=attention)
    case("attention", name, *heads(1, 9, 6, 2, 2, 4), queryStarts=T(4, fill="list", low=starts, dtype="int64"), keyStarts=T(4, fill="list", low=[0, 1, 4, 6], dtype="int64"), reference=attention)
    case("attention", name, *heads(0, 2, 2, 1, 1, 4), reference=attention)

    def geglu(gate, up, approximate="none"):
        return (F.gelu(wide(gate), approximate=approximate) * wide(up)).to(gate.dtype)

    for approximate in ["none", "tanh"]:
        case("geglu", "tunesmith::geglu", T(3, 37), T(3, 37), approximate=approximate, reference=geglu)
    case("geglu", "tunesmith::geglu", T(0), T(0), reference=geglu)

    def activated_linear(gate, up, weight, bias, activation):
        value = F.silu(wide(gate)) if activation == "silu" else F.gelu(wide(gate), approximate="tanh" if activation == "gelu-tanh" else "none")
        inner = (value if up is None else value * wide(up)).to(gate.dtype)
        return F.linear(wide(inner), wide(weight), wide(bias)).to(gate.dtype)

    for activation in ["silu", "gelu", "gelu-tanh"]:
        case("activatedLinear", "tunesmith::activated_linear", T(3, 37), T(3, 37), T(5, 37), T(5), activation, reference=activated_linear)
        case("activatedLinear", "tunesmith::activated_linear", T(2, 3, 9), None, T(7, 9), None, activation, reference=activated_linear)
    case("activatedLinear", "tunesmith::activated_linear", T(0, 5), None, T(3, 5), T(3), "gelu", reference=activated_linear)
    case("activatedLinear", "tunesmith::activated_linear", T(9, 4, layout="transposed"), T(9, 4), T(6, 4), None, "silu", reference=activated_linear)
