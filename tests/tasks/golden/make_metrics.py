"""Makes metrics.json.gz: random and hand-made cases with the values of scikit-learn, scipy, seqeval and SQuAD's official scripts.

Run: python make_metrics.py FOLDER_WITH_evaluate-v1.1.py_AND_evaluate-v2.0.py OUT (rajpurkar/SQuAD-explorer has the second, huggingface/evaluate the first as metrics/squad/compute_score.py).
"""
import contextlib
import gzip
import importlib.util
import io
import json
import random
import sys
import warnings

import numpy as np
from scipy import stats
from seqeval.metrics.sequence_labeling import precision_recall_fscore_support as lenient
from seqeval.metrics.v1 import precision_recall_fscore_support as strict
from seqeval import scheme as schemes
from sklearn import metrics as sk

warnings.filterwarnings("ignore")
rng = random.Random(7)
np_rng = np.random.default_rng(7)
folder, out = sys.argv[1:]


def script(name):
    spec = importlib.util.spec_from_file_location("m" + name[-3:].replace(".", ""), f"{folder}/evaluate-{name}.py")
    module = importlib.util.module_from_spec(spec)
    with contextlib.redirect_stdout(io.StringIO()):
        spec.loader.exec_module(module)
    return module


v1, v2 = script("v1.1"), script("v2.0")


def number(value):
    value = float(value)
    return None if np.isnan(value) else value


def classes():
    cases = []
    for i in range(600):
        size = rng.randint(1, 40)
        labels = rng.randint(2, 6)
        right = [rng.randrange(labels) for _ in range(size)]
        # Some sides name one class only; some predictions are mostly right.
        said = [rng.randrange(labels) for _ in range(size)] if i % 3 else [rng.randrange(labels)] * size
        if i % 4 == 1:
            said = [r if rng.random() < 0.8 else s for r, s in zip(right, said)]
        f1 = {how: number(sk.f1_score(right, said, average=how, zero_division=0)) for how in ("micro", "macro", "weighted")}
        one = sk.precision_recall_fscore_support(right, said, labels=list(range(labels)), zero_division=0)
        cases.append({
            "labels": labels, "right": right, "said": said, "accuracy": number(sk.accuracy_score(right, said)), **f1,
            "matthews": number(sk.matthews_corrcoef(right, said)),
            "precision": [number(x) for x in one[0]], "recall": [number(x) for x in one[1]], "f1": [number(x) for x in one[2]],
            "confusion": sk.confusion_matrix(right, said, labels=list(range(labels))).tolist(),
        })
    return cases


def multi_label():
    cases = []
    for _ in range(200):
        size, labels = rng.randint(1, 20), rng.randint(2, 6)
        right = np_rng.integers(0, 2, (size, labels))
        said = np.where(np_rng.random((size, labels)) < 0.7, right, 1 - right)
        f1 = {how: number(sk.f1_score(right, said, average=how, zero_division=0)) for how in ("micro", "macro", "weighted")}
        sets = lambda rows: [[int(j) for j in np.flatnonzero(row)] for row in rows]
        cases.append({
            "labels": labels, "right": sets(right), "said": sets(said), **f1,
            "accuracy": number(sk.accuracy_score(right, said)), "hamming": number(sk.hamming_loss(right, said)),
        })
    return cases


def numbers():
    cases = []
    for i in range(400):
        size = rng.randint(2, 30)
        right = [rng.randint(0, 5) / (1 if i % 2 else 2) for _ in range(size)]  # many ties
        said = [rng.gauss(r, 2) if i % 3 else round(rng.gauss(r, 2)) for r in right]
        if i % 50 == 0:
            said = [1.0] * size
        cases.append({
            "right": right, "said": said, "pearson": number(stats.pearsonr(right, said)[0]),
            "spearman": number(stats.spearmanr(right, said)[0]), "mse": number(sk.mean_squared_error(right, said)),
            "mae": number(sk.mean_absolute_error(right, said)),
        })
    return cases


def calibration():
    """Guo et al. 2017 by its own definition, in numpy: bins (from, to] of equal width."""
    cases = []
    for i in range(100):
        size = rng.randint(1, 200)
        confidence = np_rng.random(size) if i % 2 else np_rng.choice(np.arange(1, 21) / 20, size)
        right = np_rng.random(size) < confidence
        error = 0.0
        # 15 bins; places of the random grid that fall on a bin's border are left to exact fractions of 15.
        for b in range(15):
            inside = (confidence > b / 15) & (confidence <= (b + 1) / 15)
            if inside.any():
                error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
        cases.append({"confidence": confidence.tolist(), "right": right.astype(int).tolist(), "error": number(error)})
    return cases


def entities():
    named = {"iob1": "BIO", "iob2": "BIO", "ioe1": "IOE", "ioe2": "IOE", "iobes": "BIOES", "bilou": "BILOU"}
    cases = []
    for name, letters in [("lenient", "BIOES"), ("lenient", "BIO"), ("lenient", "IO"), *named.items()]:
        for i in range(220):
            rows = rng.randint(1, 6)
            types = ["PER", "LOC", "creative-work"][: rng.randint(1, 3)]

            def tag():
                letter = rng.choice(letters)
                return "O" if letter == "O" else f"{letter}-{rng.choice(types)}"

            right = [[tag() for _ in range(rng.randint(1, 9))] for _ in range(rows)]
            said = [[t if rng.random() < 0.7 else tag() for t in row] for row in right]
            values = {}
            for how in ("micro", "macro", "weighted"):
                if name == "lenient":
                    p, r, f, _ = lenient(right, said, average=how, zero_division=0)
                else:
                    p, r, f, _ = strict(right, said, average=how, zero_division=0, scheme=getattr(schemes, name.upper()))
                values[how] = [number(p), number(r), number(f)]
            cases.append({"scheme": name, "right": right, "said": said, **values})
    return cases


words = ["the", "The", "a", "an", "AN", "Normans", "normans", "1,000", "(1992)", "U.S.", "theory", "Österreich", "ÖSTERREICH",
         "don't", "don’t", "“quoted”", "New", "York", "İstanbul", "ΟΔΟΣ", "\u00a0", "\u2003the\u2003", "naïve", "10", "%", "–", "a_b",
         "a-b", "the’s", "é", "漢字", "the漢", "²", "½", "\u200b", "𝔸", "an.", ".the", "\u0301the", "\x1c", "anthem"]


def answer_texts():
    hand = [("", ""), ("", "the"), ("the", "a"), ("a", ""), ("The Normans", "normans"), ("U.S.", "us"), ("a b a", "a b"), ("don't", "dont"), (" x ", "x")]
    pairs = list(hand)
    for _ in range(2500):
        gold = " ".join(rng.choice(words) for _ in range(rng.randint(0, 6)))
        said = gold if rng.random() < 0.2 else " ".join(rng.choice(words) for _ in range(rng.randint(0, 6)))
        pairs.append((said, gold))
    return [{"said": s, "gold": g, "words": v2.normalize_answer(g).split(), "exact": int(v2.compute_exact(g, s)), "f1v2": number(v2.compute_f1(g, s)),
             "exactv1": int(v1.exact_match_score(s, g)), "f1v1": number(v1.f1_score(s, g))} for s, g in pairs]


def answer_sets():
    cases = []
    for i in range(150):
        qas, predictions, none = [], {}, {}
        for q in range(rng.randint(1, 25)):
            golds = [] if rng.random() < 0.4 else [" ".join(rng.choice(words) for _ in range(rng.randint(1, 4))) for _ in range(rng.randint(1, 3))]
            qas.append({"id": str(q), "question": "?", "answers": [{"text": g, "answer_start": 0} for g in golds]})
            predictions[str(q)] = rng.choice(golds + ["", "Normans"])
            none[str(q)] = rng.choice([0.1, 0.5, 0.9]) if i % 2 else rng.random()
        dataset = [{"paragraphs": [{"context": "", "qas": qas}]}]
        has = v2.make_qid_to_has_ans(dataset)
        exact_raw, f1_raw = v2.get_raw_scores(dataset, predictions)
        result = v2.make_eval_dict(v2.apply_no_ans_threshold(exact_raw, none, has, 1.0), v2.apply_no_ans_threshold(f1_raw, none, has, 1.0))
        v2.find_all_best_thresh(result, predictions, exact_raw, f1_raw, none, has)
        answered = [qa for qa in qas if qa["answers"]]
        first = v1.compute_score([{"paragraphs": [{"qas": answered}]}], predictions) if answered else None
        cases.append({"golds": [[a["text"] for a in qa["answers"]] for qa in qas], "said": list(predictions.values()), "none": list(none.values()), "v2": result, "v1": first})
    return cases


golden = {"classes": classes(), "multiLabel": multi_label(), "numbers": numbers(), "calibration": calibration(), "entities": entities(),
          "answerTexts": answer_texts(), "answerSets": answer_sets()}
with gzip.GzipFile(out, "wb", mtime=0) as file:
    file.write(json.dumps(golden).encode())
print({key: len(value) for key, value in golden.items()})
