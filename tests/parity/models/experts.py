"""Names of experts' weights in files: transformers holds those of all experts in one tensor, and writes each expert's own."""

NAMES = {"mixtral": ("block_sparse_moe", "w1", "w3", "w2"), "qwen3_moe": ("mlp", "gate_proj", "up_proj", "down_proj")}


def by_expert(tensors, model_type):
    """The tensors by the names that files have."""
    if model_type not in NAMES:
        return dict(tensors)
    block, gate, up, down = NAMES[model_type]
    out = {}
    for key, value in tensors.items():
        head, _, name = key.rpartition(".mlp.experts.")
        if name == "gate_up_proj":
            for i, both in enumerate(value):
                out[f"{head}.{block}.experts.{i}.{gate}.weight"], out[f"{head}.{block}.experts.{i}.{up}.weight"] = both.chunk(2)
        elif name == "down_proj":
            for i, one in enumerate(value):
                out[f"{head}.{block}.experts.{i}.{down}.weight"] = one
        else:
            out[key.replace(".mlp.gate.weight", f".{block}.gate.weight")] = value
    return out
