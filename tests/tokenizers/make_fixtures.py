"""Trains the small tokenizers in fixtures/ (Llama 2, Llama 3, Qwen 2 and T5 style, and two SentencePiece models).
  python make_fixtures.py --data ../../../shared/data
Needs tokenizers 0.23 and sentencepiece 0.2. The pipelines are those of the published models, the vocabularies small."""
import argparse, base64, gzip, io, json, os
from pathlib import Path
import sentencepiece as spm
from sentencepiece import sentencepiece_model_pb2 as pb
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

ap = argparse.ArgumentParser(); ap.add_argument("--data", required=True); a = ap.parse_args()
here = Path(__file__).parent; out = here / "fixtures"; out.mkdir(exist_ok=True)
books = [gzip.decompress(p.read_bytes()).decode() for p in sorted(Path(a.data, "books").glob("*.gz"))[:6]]
lines = [x for b in books for x in b.split("\n") if x.strip()][:12000] + (here / "languages.txt").read_text().split("\n") * 20

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"

def save(name, tok):
    with gzip.GzipFile(out / f"{name}.json.gz", "wb", mtime=0) as f: f.write(tok.to_str().encode())
    print(name, tok.get_vocab_size(), os.path.getsize(out / f"{name}.json.gz"))

def special(*names): return [AddedToken(x, special=True, normalized=False) for x in names]

def llama3():
    tok = Tokenizer(models.BPE(ignore_merges=True))
    tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(CONTRACTIONS + r"\p{N}{1,3}" + REST), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tok.train_from_iterator(lines, trainers.BpeTrainer(vocab_size=2000, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    tok.add_special_tokens(special("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"))
    bos = tok.token_to_id("<|begin_of_text|>")
    tok.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=True), processors.TemplateProcessing(single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A <|begin_of_text|>:1 $B:1", special_tokens=[("<|begin_of_text|>", bos)])])
    tok.decoder = decoders.ByteLevel()
    save("llama3", tok)

def qwen2():
    tok = Tokenizer(models.BPE())
    tok.normalizer = normalizers.NFC()
    tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(CONTRACTIONS + r"\p{N}" + REST), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tok.train_from_iterator(lines, trainers.BpeTrainer(vocab_size=2000, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    tok.add_special_tokens(special("<|endoftext|>", "<|im_start|>", "<|im_end|>"))
    tok.post_processor = processors.ByteLevel(trim_offsets=False)
    tok.decoder = decoders.ByteLevel()
    save("qwen2", tok)

def llama2():
    tok = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tok.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tok.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")  # for training alone
    first = special("<unk>", "<s>", "</s>") + [f"<0x{i:02X}>" for i in range(256)]
    tok.train_from_iterator(lines, trainers.BpeTrainer(vocab_size=2000, limit_alphabet=300, special_tokens=first, show_progress=False))
    d = json.loads(tok.to_str())
    d["pre_tokenizer"] = None
    d["added_tokens"] = d["added_tokens"][:3]
    d["model"]["vocab"].update({"▁" * n: len(d["model"]["vocab"]) + i for i, n in enumerate([2, 4, 8])})
    d["model"]["merges"] = [["▁" * n, "▁" * n] for n in [1, 2, 4]] + d["model"]["merges"]
    tok = Tokenizer.from_str(json.dumps(d))
    tok.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)])
    tok.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    save("llama2", tok)

def sentencepiece(model_type, **options):
    model = io.BytesIO()
    spm.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=model, model_type=model_type, hard_vocab_limit=False, minloglevel=2, num_threads=1, max_sentence_length=20000, **options)
    return model.getvalue()

def t5():
    proto = pb.ModelProto(); proto.ParseFromString(sentencepiece("unigram", vocab_size=1500, pad_id=0, eos_id=1, unk_id=2, bos_id=-1, normalization_rule_name="nmt_nfkc"))
    vocab = [(p.piece, p.score) for p in proto.pieces] + [(f"<extra_id_{i}>", 0.0) for i in range(9, -1, -1)]
    tok = Tokenizer(models.Unigram(vocab, unk_id=2))
    tok.normalizer = normalizers.Sequence([normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap), normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), "▁")])
    tok.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tok.add_special_tokens(special("<pad>", "</s>", "<unk>", *[f"<extra_id_{i}>" for i in range(9, -1, -1)]))
    tok.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])
    tok.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    save("t5", tok)

def models_alone():
    for name, model_type, options in [("sp-bpe", "bpe", dict(byte_fallback=True)), ("sp-unigram", "unigram", {})]:
        data = sentencepiece(model_type, vocab_size=1000, normalization_rule_name="identity", **options)
        with gzip.GzipFile(out / f"{name}.model.gz", "wb", mtime=0) as f: f.write(data)
        sp = spm.SentencePieceProcessor(model_proto=data)
        texts = [x for x in lines[:8] + (here / "languages.txt").read_text().split("\n") if x]
        expected = [{"text": t, "ids": sp.encode(t)} for t in texts]
        with gzip.GzipFile(out / f"{name}.expected.json.gz", "wb", mtime=0) as f: f.write(json.dumps(expected, ensure_ascii=False).encode())
        print(name, len(data))

llama3(); qwen2(); llama2(); t5(); models_alone()
