"""Opens folders that we saved with transformers, strictly, and compares what its classes give with what we gave.
  python open_ours.py FOLDER   (folders in FOLDER, each with ours.safetensors beside the model; prints one JSON line)"""
import json
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file

transformers.logging.set_verbosity_error()
torch.set_num_threads(1)
rows = []
for folder in sorted(p for p in Path(sys.argv[1]).iterdir() if p.is_dir()):
    config = json.loads((folder / "config.json").read_text())
    kind = getattr(transformers, config["architectures"][0])
    model, info = kind.from_pretrained(folder, output_loading_info=True)
    given = load_file(folder / "ours.safetensors")
    logits = given.pop("logits")
    pooling = json.loads((folder / "pooling.json").read_text()) if (folder / "pooling.json").exists() else None
    with torch.no_grad():
        result = model.eval()(**given)
    if pooling == "mean":
        mask = given["attention_mask"][..., None].to(result.last_hidden_state.dtype)
        theirs = (result.last_hidden_state * mask).sum(1) / mask.sum(1)
    elif hasattr(result, "prediction_logits"):
        theirs = result.prediction_logits
    elif hasattr(result, "start_logits"):
        theirs = torch.stack((result.start_logits, result.end_logits), -1)
    else:
        theirs = result.logits
    theirs = theirs.reshape(logits.shape).float()
    seen = torch.ones_like(theirs)
    if "decoder_input_ids" not in given and logits.shape[:2] == given["input_ids"].shape and logits.dim() >= 2 and given["input_ids"].dim() == 2 and logits.shape[1] == given["input_ids"].shape[1]:
        seen = given["attention_mask"].reshape(given["attention_mask"].shape + (1,) * (theirs.dim() - 2)).expand_as(theirs).float()
    rows.append({
        "name": folder.name,
        "class": type(model).__name__,
        "dtype": str(next(model.parameters()).dtype).replace("torch.", ""),
        **{key: sorted(str(k) for k in info.get(key, [])) for key in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs")},
        "difference": float(((theirs - logits.float()) * seen).abs().max() / (theirs * seen).abs().max()),
        "labels": model.config.id2label if "Classification" in type(model).__name__ else None,
    })
print(json.dumps({"transformers": transformers.__version__, "rows": rows}))
