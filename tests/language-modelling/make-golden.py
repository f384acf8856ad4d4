"""Small random GPT-2 and BERT with their tokenizers, and what transformers says of a few texts and minimal pairs.
    python tests/language-modelling/make-golden.py   (writes golden/ beside itself)

Every number is computed a token at a time: one forward pass of the one window that scores it, without batches or padding."""

import json
import math
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertForMaskedLM, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

LINES = [
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness.",
    "Call me Ishmael. Some years ago, never mind how long precisely, I thought I would sail about a little.",
    "The keys to the cabinet are on the table, and the cats that the dog chases were sleeping.",
    "Größe, naïve café, ☕ and 🐻: bytes are not characters.",
]
TEXTS = [LINES[2], LINES[3], " ".join(LINES * 3), "A", LINES[0]]
PAIRS = [
    ("The cats were sleeping.", "The cats was sleeping.", "agreement", "morphology"),
    ("The keys to the cabinet are on the table.", "The keys to the cabinet is on the table.", "agreement", "morphology"),
    ("The dog that chases the cats is sleeping.", "The dog that chases the cats are sleeping.", "agreement", "morphology"),
    ("Who thought he would sail?", "Who he thought would sail?", "questions", "syntax"),
    ("What was it that the dog chases?", "What was it that chases the dog that?", "questions", "syntax"),
    ("Same words.", "Same words.", "questions", "syntax"),
]
MAX_LENGTH, STRIDE = 24, 9
out = Path(__file__).parent / "golden"


def save(name, model, tokenizer):
    """Draws weights and trains them a little, so that some predictions are right; GPT-2 from each token, BERT from every fourth."""
    torch.manual_seed(3)
    for p in model.parameters():
        torch.nn.init.normal_(p, 0, 0.1)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for step in range(60):
        for line in LINES[:3]:
            ids = torch.tensor([tokenizer(line)["input_ids"][:30]])
            hidden = (torch.arange(ids.shape[1]) + step) % 4 == 0
            masked = tokenizer.mask_token_id is not None
            inputs = ids.masked_fill(hidden, tokenizer.mask_token_id) if masked else ids
            labels = ids.masked_fill(~hidden, -100) if masked else ids
            model(inputs, labels=labels).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    model.eval().save_pretrained(out / name)
    tokenizer.save_pretrained(out / name)
    return model


def gpt2():
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=330, special_tokens=["<|endoftext|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    bpe.train_from_iterator(LINES, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<|endoftext|>", eos_token="<|endoftext|>")
    config = GPT2Config(vocab_size=330, n_embd=24, n_layer=2, n_head=3, n_positions=32, bos_token_id=0, eos_token_id=0)
    return save("gpt2", GPT2LMHeadModel(config), tokenizer), tokenizer


def bert():
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    wordpiece = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    wordpiece.normalizer = normalizers.BertNormalizer(lowercase=True)
    wordpiece.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    wordpiece.decoder = decoders.WordPiece()
    wordpiece.train_from_iterator(LINES[:3], trainers.WordPieceTrainer(vocab_size=150, special_tokens=special))
    wordpiece.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=wordpiece, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]")
    config = BertConfig(vocab_size=150, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40, max_position_embeddings=40)
    return save("bert", BertForMaskedLM(config), tokenizer), tokenizer


@torch.no_grad()
def logprobs(model, ids):
    return model(torch.tensor([ids])).logits[0].log_softmax(-1)


def causal(model, ids, start):
    """Log probability and rank-one hits of each id; window of the model: see windows below."""
    ids = ([0] if start else []) + ids
    result = []
    for target in range(1, len(ids)):
        # The first window scores MAX_LENGTH tokens, each later one STRIDE; its last input stands before its last target.
        last = MAX_LENGTH if target <= MAX_LENGTH else MAX_LENGTH + STRIDE * math.ceil((target - MAX_LENGTH) / STRIDE)
        last = min(last, len(ids) - 1)
        begin = max(0, last - MAX_LENGTH)
        row = logprobs(model, ids[begin:last])[target - 1 - begin]
        result.append((row[ids[target]].item(), int(row.argmax().item() == ids[target])))
    return result


def summary(scores, total_bytes):
    nats, hits = -sum(s for s, _ in scores), sum(h for _, h in scores)
    loss = nats / len(scores)
    return {"loss": loss, "perplexity": math.exp(loss), "bitsPerByte": nats / math.log(2) / total_bytes, "accuracy": hits / len(scores), "scored": len(scores)}


model, tokenizer = gpt2()
encoded = [tokenizer(text)["input_ids"] for text in TEXTS]
byte_counts = [len(text.encode()) for text in TEXTS]
expected = {"texts": TEXTS, "pairs": PAIRS, "maxLength": MAX_LENGTH, "stride": STRIDE, "gpt2": {}, "bert": {}}
expected["gpt2"]["withStart"] = summary([s for ids in encoded for s in causal(model, ids, True)], sum(byte_counts))
first_bytes = [len(tokenizer.decode(ids[:1]).encode()) for ids in encoded]
expected["gpt2"]["withoutStart"] = summary([s for ids in encoded for s in causal(model, ids, False)], sum(byte_counts) - sum(first_bytes))
# The loss that transformers computes itself, of a text that fits one window.
short = tokenizer("The keys to the cabinet are on")["input_ids"]
assert len(short) <= MAX_LENGTH
expected["gpt2"]["shortText"] = "The keys to the cabinet are on"
expected["gpt2"]["shortLoss"] = model(torch.tensor([short]), labels=torch.tensor([short])).loss.item()
sentence = lambda text: sum(s for s, _ in causal(model, tokenizer(text)["input_ids"], True))
expected["gpt2"]["pairs"] = [[sentence(good), sentence(bad)] for good, bad, _, _ in PAIRS]

model, tokenizer = bert()


def pseudo(text):
    ids = tokenizer(text)["input_ids"]
    scores = []
    for i in range(1, len(ids) - 1):
        row = logprobs(model, ids[:i] + [tokenizer.mask_token_id] + ids[i + 1 :])[i]
        scores.append((row[ids[i]].item(), int(row.argmax().item() == ids[i])))
    return scores


fitting = [text for text in TEXTS if len(tokenizer(text)["input_ids"]) <= 40]
scores = [s for text in fitting for s in pseudo(text)]
expected["bert"]["texts"] = fitting
expected["bert"]["pseudoPerplexity"] = math.exp(-sum(s for s, _ in scores) / len(scores))
expected["bert"]["pairs"] = [[sum(s for s, _ in pseudo(good)), sum(s for s, _ in pseudo(bad))] for good, bad, _, _ in PAIRS]
# One masked batch with its labels: the loss of transformers.
ids = tokenizer(TEXTS[0])["input_ids"]
labels = [token if i in (2, 5, 6) else -100 for i, token in enumerate(ids)]
hidden = [tokenizer.mask_token_id if i in (2, 6) else token for i, token in enumerate(ids)]
expected["bert"]["masked"] = {"ids": hidden, "labels": labels, "loss": model(torch.tensor([hidden]), labels=torch.tensor([labels])).loss.item()}
(out / "expected.json").write_text(json.dumps(expected, ensure_ascii=False, indent=1) + "\n")
print(json.dumps({k: v for k, v in expected["gpt2"].items() if k != "pairs"}, indent=1), expected["bert"]["pseudoPerplexity"], len(fitting))
