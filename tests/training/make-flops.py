"""Counts the operations of a forward and backward pass of each architecture with PyTorch's FlopCounterMode, over transformers' models
without heads and with eager attention. Rotary angles are left out: they are a product in transformers and a table here.

    ~/.cache/tunesmith/peers-venv/bin/python tests/training/make-flops.py
"""

import json
import os
import subprocess
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModel

here = Path(__file__).parent
asked = json.loads(subprocess.check_output(["node", "--import", "tsx", str(here / "flop-models.ts")], cwd=here.parent.parent))
rows, tokens = asked["rows"], asked["tokens"]


def count(fields, floats):
    fields = {name: float(value) if name in floats else value for name, value in fields.items()}
    config = AutoConfig.for_model(fields.pop("model_type"), **fields)
    config._attn_implementation = "eager"
    config._experts_implementation = "eager"
    if (config.pad_token_id or 0) >= config.vocab_size:
        config.pad_token_id = 0
    pooled = {"add_pooling_layer": False} if config.model_type in ("bert", "roberta", "xlm-roberta", "camembert", "albert", "mpnet") else {}
    model = AutoModel.from_config(config, **pooled).train()
    ids = torch.randint(7, 60, (rows, tokens))
    more = {"decoder_input_ids": ids} if config.is_encoder_decoder else {}
    counts = {}
    with FlopCounterMode(display=False) as counter:
        hidden = model(input_ids=ids, attention_mask=torch.ones_like(ids), **more).last_hidden_state
        counts["forward"] = counter.get_total_flops()
        hidden.sum().backward()
    counts["backward"] = counter.get_total_flops() - counts["forward"]
    by_module = counter.get_flop_counts()
    rotary = sum(
        sum(by_module[name].values()) for name in by_module if name.endswith(("rotary_emb", "rotary_emb_local"))
    )
    counts["forward"] -= rotary
    return counts


golden = {
    "torch": torch.__version__,
    "transformers": transformers.__version__,
    "rows": rows,
    "tokens": tokens,
    "flops": {name: count(one["fields"], one["floats"]) for name, one in asked["models"].items()},
}
(here / "golden" / "flops.json").write_text(json.dumps(golden, indent=2) + "\n")
print(json.dumps(golden["flops"]))
