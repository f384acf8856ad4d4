"""Writes the initial weights and batches of a Hugging Face model, trains it for some steps in plain PyTorch, and prints its losses:
the other side of the loss-curve comparison of `npm run bench -- engine`.
  python curves.py --model gpt2|bert-base|tiny|tiny-bert --data ../shared/data --out DIR --steps 20 [--bf16]"""
import argparse, gzip, json, random
from pathlib import Path

import torch
from transformers import BertConfig, BertForMaskedLM, GPT2Config, GPT2LMHeadModel

SIZES = {
    "gpt2": dict(kind="gpt", layers=12, hidden=768, heads=12, vocab=50257, positions=512, batch=4, length=512, rate=3e-4),
    "bert-base": dict(kind="bert", layers=12, hidden=768, heads=12, vocab=30522, positions=512, batch=16, length=128, rate=1e-4),
    "tiny": dict(kind="gpt", layers=2, hidden=64, heads=2, vocab=1000, positions=32, batch=2, length=32, rate=1e-3),
    "tiny-bert": dict(kind="bert", layers=2, hidden=64, heads=2, vocab=1000, positions=32, batch=2, length=32, rate=1e-3),
}
arguments = argparse.ArgumentParser()
arguments.add_argument("--model", choices=list(SIZES), required=True)
arguments.add_argument("--data")
arguments.add_argument("--out", required=True)
arguments.add_argument("--steps", type=int, default=20)
arguments.add_argument("--bf16", action="store_true")
a = arguments.parse_args()
s = SIZES[a.model]
B, T, V, C = s["batch"], s["length"], s["vocab"], s["hidden"]
torch.manual_seed(0)


def text_ids():
    """Real text where there is some, by a byte-pair hash of words: any stable ids below V that repeat as words do."""
    need = a.steps * B * T
    books = sorted(Path(a.data, "books").glob("*.md.gz")) if a.data else []
    words = []
    for book in books:
        words += gzip.open(book, "rt", encoding="utf-8").read().split()
        if len(words) >= need:
            break
    if len(words) < need:
        draw = random.Random(0)
        return torch.tensor([int(V * draw.random() ** 3) for _ in range(need)]).view(-1, B, T)
    ranks = {}
    return torch.tensor([ranks.setdefault(w.lower(), len(ranks)) % V for w in words[:need]]).view(-1, B, T)


ids = text_ids()
if s["kind"] == "gpt":
    model = GPT2LMHeadModel(GPT2Config(vocab_size=V, n_layer=s["layers"], n_head=s["heads"], n_embd=C, n_positions=s["positions"], bos_token_id=0,
                                       eos_token_id=0, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0))
    labels = torch.cat([ids[:, :, 1:], torch.full((len(ids), B, 1), -100)], 2)
    t = model.transformer
    named = {"tokens": t.wte.weight, "positions": t.wpe.weight, "final.weight": t.ln_f.weight, "final.bias": t.ln_f.bias}
    for i, block in enumerate(t.h):
        p = f"layers.{i}."
        named |= {p + "norm1.weight": block.ln_1.weight, p + "norm1.bias": block.ln_1.bias, p + "norm2.weight": block.ln_2.weight, p + "norm2.bias": block.ln_2.bias}
        for ours, theirs in [("qkv", block.attn.c_attn), ("out", block.attn.c_proj), ("up", block.mlp.c_fc), ("down", block.mlp.c_proj)]:
            named |= {p + ours + ".weight": theirs.weight.t(), p + ours + ".bias": theirs.bias}
else:
    model = BertForMaskedLM(BertConfig(vocab_size=V, num_hidden_layers=s["layers"], hidden_size=C, num_attention_heads=s["heads"], intermediate_size=4 * C,
                                       max_position_embeddings=s["positions"], hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0))
    chosen = torch.rand(ids.shape, generator=torch.Generator().manual_seed(1)) < 0.15
    labels = torch.where(chosen, ids, -100)
    ids = torch.where(chosen, torch.tensor(3), ids)
    e, head = model.bert.embeddings, model.cls.predictions
    named = {"tokens": e.word_embeddings.weight, "positions": e.position_embeddings.weight, "types": e.token_type_embeddings.weight,
             "embedding.norm.weight": e.LayerNorm.weight, "embedding.norm.bias": e.LayerNorm.bias, "head.weight": head.transform.dense.weight,
             "head.bias": head.transform.dense.bias, "head.norm.weight": head.transform.LayerNorm.weight, "head.norm.bias": head.transform.LayerNorm.bias,
             "output.bias": head.bias}
    for i, layer in enumerate(model.bert.encoder.layer):
        p, att = f"layers.{i}.", layer.attention
        named |= {p + "qkv.weight": torch.cat([att.self.query.weight, att.self.key.weight, att.self.value.weight]),
                  p + "qkv.bias": torch.cat([att.self.query.bias, att.self.key.bias, att.self.value.bias])}
        for ours, theirs in [("out", att.output.dense), ("norm1", att.output.LayerNorm), ("up", layer.intermediate.dense), ("down", layer.output.dense),
                             ("norm2", layer.output.LayerNorm)]:
            named |= {p + ours + ".weight": theirs.weight, p + ours + ".bias": theirs.bias}

out = Path(a.out)
out.mkdir(parents=True, exist_ok=True)
manifest = {"tensors": {}}
with open(out / "data.bin", "wb") as f:
    for name, tensor in named.items():
        f.write(b"\0" * (-f.tell() % 64))
        manifest["tensors"][name] = {"shape": list(tensor.shape), "offset": f.tell()}
        f.write(tensor.detach().float().contiguous().numpy().tobytes())
    f.write(b"\0" * (-f.tell() % 64))
    manifest["batches"] = {"offset": f.tell(), "steps": len(ids), "batch": B, "length": T}
    for x, y in zip(ids, labels):
        f.write(x.contiguous().numpy().tobytes() + y.contiguous().numpy().tobytes())
(out / "manifest.json").write_text(json.dumps(manifest))

model.train()
optimizer = torch.optim.AdamW(model.parameters(), s["rate"], weight_decay=0.01, fused=True)
losses = []
for x, y in zip(ids[: a.steps], labels[: a.steps]):
    with torch.autocast("cpu", torch.bfloat16, enabled=a.bf16):
        logits = model(input_ids=x).logits
        loss = torch.nn.functional.cross_entropy(logits.float().view(-1, V), y.reshape(-1))
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    losses.append(loss.item())
print(json.dumps({"model": a.model, "dtype": "bf16" if a.bf16 else "fp32", "losses": losses}))
