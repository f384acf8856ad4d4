"""Makes fixtures/hf-training.json.gz: what the Python package `tokenizers` (0.23.3) learns from fixtures/training-sample.txt.
  python make_training_golden.py"""
import gzip, json
from pathlib import Path
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers, Regex, __version__

fixtures = Path(__file__).parent / "fixtures"
text = open(fixtures / "training-sample.txt", encoding="utf-8", newline="").read()
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
out = {"tokenizers": __version__}

def bpe(name, pre, **options):
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre
    tok.train_from_iterator([text], trainers.BpeTrainer(show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), **options))
    model = json.loads(tok.to_str())["model"]
    out[name] = {"tokens": sorted(model["vocab"], key=model["vocab"].get), "merges": model["merges"]}

bpe("gpt2", pre_tokenizers.ByteLevel(add_prefix_space=False), vocab_size=1200, special_tokens=["<|endoftext|>", "<|padding|>"])
bpe("gpt2-frequent", pre_tokenizers.ByteLevel(add_prefix_space=False), vocab_size=5000, min_frequency=10, special_tokens=["<|endoftext|>", "<|padding|>"])
bpe("llama3", pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]),
    vocab_size=1000, special_tokens=["<|endoftext|>", "<|padding|>"])

tok = Tokenizer(models.WordPiece(unk_token="[UNK]"))
tok.normalizer = normalizers.BertNormalizer(lowercase=True)
tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
# Its order of ## characters changes from run to run, and decides between pairs of equal frequency; so only vocabularies
# that end at a frequency without such a draw are the same every time.
sizes = {}
for size in range(600, 760):
    found = set()
    for _ in range(6):
        tok.train_from_iterator([text], trainers.WordPieceTrainer(vocab_size=size, min_frequency=2, show_progress=False, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
        found.add("\n".join(sorted(tok.get_vocab())))
    if len(found) == 1:
        sizes[size] = found.pop().split("\n")
    if len(sizes) == 3:
        break
out["wordpiece"] = sizes

tok = Tokenizer(models.Unigram())
tok.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()])
tok.pre_tokenizer = pre_tokenizers.Metaspace()
tok.train_from_iterator([text], trainers.UnigramTrainer(vocab_size=800, show_progress=False, unk_token="<unk>", special_tokens=["<pad>", "</s>", "<unk>", "<s>", "<mask>"]))
out["unigram"] = json.loads(tok.to_str())["model"]["vocab"]

with gzip.GzipFile(fixtures / "hf-training.json.gz", "wb", mtime=0) as f:
    f.write(json.dumps(out, ensure_ascii=False).encode())
print({k: len(v) for k, v in out.items()}, list(sizes))
