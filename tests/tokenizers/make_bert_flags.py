# Ids of transformers for folders of BERT's tokenizers whose tokenizer_config.json has all kinds of flags, beside vocab.txt alone or a
# tokenizer.json that differs from the flags. Writes fixtures/bert-flags.json.gz. Run from the root of the repository:
#   python tests/tokenizers/make_bert_flags.py
import gzip
import itertools
import json
import pathlib
import tempfile

from transformers import AutoTokenizer

LETTERS = list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.,!'é中国ñßİÉ")
VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *("##" + letter for letter in LETTERS), "hello", "Hello", "cafe", "café", "Café", "中国"]
TEXTS = ["Hello world", "Café CAFÉ cafe\u0301", "中国 abc中国", "İstanbul ñandú straße", "a [MASK] B [SEP] c\u200bd\n"]
SPECIAL = [{"id": i, "content": token, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True} for i, token in enumerate(VOCAB[:5])]


def tokenizer_json(lowercase, strip_accents, chinese):
    piece = lambda name, kind: {"SpecialToken" if name.startswith("[") else "Sequence": {"id": name, "type_id": kind}}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": SPECIAL,
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": chinese, "strip_accents": strip_accents, "lowercase": lowercase},
        "pre_tokenizer": {"type": "BertPreTokenizer"}, "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "post_processor": {"type": "TemplateProcessing", "single": [piece("[CLS]", 0), piece("A", 0), piece("[SEP]", 0)],
                           "pair": [piece("[CLS]", 0), piece("A", 0), piece("[SEP]", 0), piece("B", 1), piece("[SEP]", 1)],
                           "special_tokens": {name: {"id": name, "ids": [i], "tokens": [name]} for name, i in (("[CLS]", 2), ("[SEP]", 3))}},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": {token: i for i, token in enumerate(VOCAB)}},
    }


absent = "absent"
flags = itertools.product((absent, True, False), (absent, True, False), (absent, False))
cases = []
for number, values in enumerate(flags):
    given = {name: value for name, value in zip(("do_lower_case", "strip_accents", "tokenize_chinese_chars"), values) if value != absent}
    normalizer = [(False, None, True), (True, False, True), (False, True, False)][number % 3]
    for kind, model, with_json in ((None, "bert", False), (None, "distilbert", True), ("BertTokenizer", None, True), ("MPNetTokenizer", None, True), ("PreTrainedTokenizerFast", "bert", True)):
        files = {"tokenizer_config.json": {**given, **({} if kind is None else {"tokenizer_class": kind})}}
        if model is not None:
            files["config.json"] = {"model_type": model}
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                pathlib.Path(folder, name).write_text(json.dumps(content))
            if with_json:
                pathlib.Path(folder, "tokenizer.json").write_text(json.dumps(tokenizer_json(*normalizer)))
            else:
                pathlib.Path(folder, "vocab.txt").write_text("\n".join(VOCAB) + "\n")
            tokenizer = AutoTokenizer.from_pretrained(folder, **({} if kind != "MPNetTokenizer" else {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "mask_token": "[MASK]"}))
        ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in TEXTS]
        cases.append({"files": files, "normalizer": tokenizer_json(*normalizer)["normalizer"] if with_json else None, "ids": ids})
written = {"vocab": VOCAB, "texts": TEXTS, "json": tokenizer_json(True, None, True), "cases": cases}
path = pathlib.Path("tests/tokenizers/fixtures/bert-flags.json.gz")
path.write_bytes(gzip.compress(json.dumps(written, ensure_ascii=False).encode(), mtime=0))
print(len(cases), path.stat().st_size, len({json.dumps(case["ids"]) for case in cases}))
