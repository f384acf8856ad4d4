"""Opens bases and adapters that we saved, with transformers and PEFT, and compares their logits with ours.
  python open_ours.py FOLDER   (folders in FOLDER with base/, adapter/ and ours.safetensors; prints one JSON line)"""
import json
import sys
import warnings
from pathlib import Path

import torch
import transformers
from peft import PeftModel
from safetensors.torch import load_file

transformers.logging.set_verbosity_error()
torch.set_num_threads(1)
rows = []
for folder in sorted(p for p in Path(sys.argv[1]).iterdir() if p.is_dir()):
    kind = getattr(transformers, json.loads((folder / "base" / "config.json").read_text())["architectures"][0])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        base = kind.from_pretrained(folder / "base")
        model = PeftModel.from_pretrained(base, folder / "adapter").eval()
    given = load_file(folder / "ours.safetensors")
    logits = given.pop("logits")
    with torch.no_grad():
        theirs = model(**given).logits
    if theirs.ndim == 3:
        theirs = theirs[:, -logits.shape[1]:]  # without virtual tokens
    keys = [str(w.message) for w in caught if "key" in str(w.message).lower() or "unexpected" in str(w.message).lower()]
    rows.append({"name": folder.name, "difference": ((theirs - logits).abs().max() / logits.abs().max()).item(), "warnings": keys})
print(json.dumps(rows))
