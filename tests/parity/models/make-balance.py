"""The auxiliary loss of transformers' mixtures of experts, and its gradients, for each text of golden/heads alone and for all together.
  python make-balance.py   (writes golden/balance.safetensors beside itself; after make-heads.py)"""
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file

golden = Path(__file__).parent / "golden"
out = {}
for name in ("MixtralForCausalLM", "Qwen3MoeForCausalLM"):
    folder = golden / "heads" / name
    model = getattr(transformers, name).from_pretrained(folder, dtype=torch.float32, experts_implementation="eager").eval()
    inputs = load_file(folder / "expected.safetensors")
    for row in range(3):
        model.zero_grad()
        ids, mask = inputs["input_ids"][row:row + 1], inputs["attention_mask"][row:row + 1]
        result = model(input_ids=ids, attention_mask=mask, output_router_logits=True)
        result.aux_loss.backward()
        out[f"{name}.{row}.loss"] = result.aux_loss.detach().reshape(1)
        for layer, block in enumerate(model.model.layers):
            if hasattr(block.mlp, "gate") and block.mlp.gate.weight.grad is not None:
                out[f"{name}.{row}.grad.{layer}"] = block.mlp.gate.weight.grad.clone()
        out[f"{name}.{row}.grad.embedding"] = model.model.embed_tokens.weight.grad.clone()
    # The loss as training has it: labels, and the auxiliary loss times its factor.
    model.zero_grad()
    ids, mask = inputs["input_ids"][1:2], inputs["attention_mask"][1:2]
    result = model(input_ids=ids, attention_mask=mask, labels=ids, output_router_logits=True)
    out[f"{name}.training"] = result.loss.detach().reshape(1)
save_file(out, golden / "balance.safetensors")
