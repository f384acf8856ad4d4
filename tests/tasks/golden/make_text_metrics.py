"""Makes text-metrics.json.gz: real, random and hand-made texts with the values of rouge-score, NLTK, sacreBLEU, SQuAD's official script and the
lm-evaluation-harness.

Run: python make_text_metrics.py DATA_FOLDER FOLDER_WITH_evaluate-v1.1.py OUT (DATA_FOLDER has dialogsum/, gsm8k/ and wikitext-2/).
"""
import contextlib
import glob
import gzip
import importlib.util
import io
import json
import random
import re
import sys

import sacrebleu
from lm_eval.api.metrics import exact_match_hf_evaluate
from lm_eval.filters.extraction import RegexFilter
from nltk.stem.porter import PorterStemmer
from rouge_score.rouge_scorer import RougeScorer

rng = random.Random(11)
data, squad_folder, out = sys.argv[1:]
TYPES = ["rouge1", "rouge2", "rougeL", "rougeLsum"]
plain, stemmed = RougeScorer(TYPES), RougeScorer(TYPES, use_stemmer=True)

spec = importlib.util.spec_from_file_location("squad", f"{squad_folder}/evaluate-v1.1.py")
squad = importlib.util.module_from_spec(spec)
with contextlib.redirect_stdout(io.StringIO()):
    spec.loader.exec_module(squad)


def rounded(value):
    return float(f"{float(value):.12g}")


def real_texts():
    texts = []
    for path in sorted(glob.glob(f"{data}/dialogsum/*.jsonl"))[:1]:
        with open(path, encoding="utf-8") as file:
            for line in list(file)[:400]:
                texts.append(json.loads(line)["summary"])
    return texts


REAL = real_texts()
WORDS = sorted({word for text in REAL for word in text.split()})
ODD = [
    "", " ", "\n", "\t", "-\n", "<skipped>", "&quot;", "&amp;", "&lt;b&gt;", "&amp;lt;", "U.S.A.", "3.14", "1,000,000", "10-20", "3-D", "--", "(hi)", "'tis",
    "don't", "e-mail", "$5", "50%", "\u00e9t\u00e9", "na\u00efve", "\u00dc", "\u0130stanbul", "\u03a3\u03a3\u03a3", "stra\u00dfe", "\u4f60\u597d", "\u4e16\u754c",
    "\u3002", "\u3053\u3093\u306b\u3061\u306f", "\U0001f600", "\U0001f469\u200d\U0001f4bb", "e\u0301", "\ufeff", "\u00a0", "\u2003", "\u2028", "\x1c", "\x85", "\u200b",
    "K", "\u0967\u0968", "\uff11", "...", "?!", ".,", ".5", "5.", "a", "the", "An", "I", "\\", "/", "a/b", "_", "x_y", "^", "~", "`", "{", "}", "[1]", "\u201cquoted\u201d", "\u2014", "\ud83d",
]


def random_text(longest=30):
    size = rng.choice([0, 1, 2, 3, 5, 8, 13, rng.randint(0, longest)])
    pool = rng.choice([WORDS, WORDS, ODD, WORDS + ODD * 20, list("abc"), ["running", "runs", "ran", "generalizations", "generally", "flies", "dying"]])
    gap = rng.choice([" ", " ", " ", "", "\n", "  "])
    return gap.join(rng.choice(pool) for _ in range(size))


def changed(text):
    words = re.split(r"( |\n)", text)
    for _ in range(rng.randint(0, 6)):
        at = rng.randrange(len(words))
        how = rng.randrange(5)
        if how == 0:
            words[at] = rng.choice(WORDS + ODD)
        elif how == 1:
            words.insert(at, rng.choice(WORDS))
        elif how == 2 and len(words) > 1:
            del words[at]
        elif how == 3:
            words[at] = words[at].upper()
        else:
            other = rng.randrange(len(words))
            words[at], words[other] = words[other], words[at]
    return "".join(words)


def random_pair(references):
    base = rng.choice([random_text, random_text, lambda: rng.choice(REAL), lambda: rng.choice(REAL).replace(". ", ".\n")])()
    if rng.random() < 0.2:
        return base, [random_text() for _ in range(references)]
    return changed(base), [base if rng.random() < 0.1 else changed(base) for _ in range(references)]


def rouge(scorer, references, prediction):
    scores = scorer.score_multi(references, prediction)
    return [[rounded(x) for x in scores[name]] for name in TYPES]


def pair_case(prediction, references):
    return {
        "said": prediction,
        "right": references,
        "rouge": rouge(plain, references, prediction),
        "stemmed": rouge(stemmed, references, prediction),
        "bleu": rounded(sacrebleu.sentence_bleu(prediction, references).score),
        "chrf": rounded(sacrebleu.sentence_chrf(prediction, references).score),
        "chrfpp": rounded(sacrebleu.sentence_chrf(prediction, references, word_order=2).score),
        "exact": float(squad.metric_max_over_ground_truths(squad.exact_match_score, prediction, references)),
        "f1": rounded(squad.metric_max_over_ground_truths(squad.f1_score, prediction, references)),
    }


def pairs():
    hand = [("", [""]), ("", ["a"]), ("a", [""]), ("a\n\nb", ["b\na"]), ("the cat", ["The  cat."]), (" ", ["\n"])]
    cases = [pair_case(*pair) for pair in hand]
    cases += [pair_case(*random_pair(rng.choice([1, 1, 1, 2, 3]))) for _ in range(1500)]
    # Long ones: several words of 32 places, and several blocks of rows.
    for _ in range(12):
        lines = [[rng.choice(WORDS[:60]) for _ in range(rng.randint(1, 160))] for _ in range(rng.randint(1, 4))]
        other = [[word for word in line if rng.random() < 0.7] + [rng.choice(WORDS[:60])] for line in lines]
        rng.shuffle(other)
        cases.append(pair_case("\n".join(" ".join(line) for line in other), ["\n".join(" ".join(line) for line in lines)]))
    return cases


def signature(metric):
    return re.sub(r"\|version:.*", "", str(metric.get_signature()))


def corpora():
    cases = []
    for i in range(250):
        width = rng.choice([1, 1, 2, 3])
        members = [random_pair(width) for _ in range(rng.randint(1, 12))]
        if i % 5 == 4:
            members = [(said, right[: rng.randint(1, width)]) for said, right in members]
        most = max(len(right) for _, right in members)
        streams = [[right[k] if k < len(right) else None for _, right in members] for k in range(most)]
        case = {"pairs": [[said, right] for said, right in members]}
        said = [said for said, _ in members]
        bleu = sacrebleu.BLEU()
        score = bleu.corpus_score(said, streams)
        case["bleu"] = rounded(score.score)
        case["precisions"] = [rounded(x) for x in score.precisions]
        case["bp"] = rounded(score.bp)
        case["lengths"] = [score.sys_len, score.ref_len]
        case["bleuSignature"] = signature(bleu)
        for name, order in (("chrf", 0), ("chrfpp", 2)):
            chrf = sacrebleu.CHRF(word_order=order)
            case[name] = rounded(chrf.corpus_score(said, streams).score)
            case[name + "Signature"] = signature(chrf)
        cases.append(case)
    return cases


def words():
    stemmer = PorterStemmer()
    found = set()
    with gzip.open(f"{data}/wikitext-2/valid.txt.gz", "rt", encoding="utf-8") as file:
        for word in re.findall(r"[a-z0-9]+", file.read().lower()):
            found.add(word)
    found = sorted(found)
    rng.shuffle(found)
    found = found[:6000]
    endings = "s es ies sses ed ing eed ied y ational tional enci anci izer bli alli entli eli ousli ization ation ator alism iveness fulness ousness aliti iviti biliti fulli logi icate ative alize iciti ical ful ness al ance ence er ic able ible ant ement ment ent ion ou ism ate iti ous ive ize e ll at bl iz".split()
    for _ in range(4000):
        stem = "".join(rng.choice("aeiouybcdlstz") for _ in range(rng.randint(0, 7)))
        found.append(stem + "".join(rng.choice(endings) for _ in range(rng.randint(0, 2))))
    found += "sky skies dying lying tying news innings outing howe proceed exceed succeed yyyy yyyyed toy syzygy".split()
    return [[word, stemmer.stem(word)] for word in found if word]


def numbers():
    strict = RegexFilter(r"#### (\-?[0-9\.\,]+)")
    flexible = RegexFilter(r"(-?[$0-9.,]{2,})|(-?[0-9]+)", group_select=-1)
    ignored = [",", r"\$", r"(?s).*#### ", r"\.$"]
    with gzip.open(f"{data}/gsm8k/train.jsonl.gz", "rt", encoding="utf-8") as file:
        answers = [json.loads(line)["answer"] for line in list(file)[:300]]
    parts = ["#### ", "####", "#### -", "$", "1,000", "12", "12.", "12.0", "-3", ".5", "3.50", "the answer is ", " ", "\n", "1/2", "$1,234.50", "50%", "x", "--", "7 apples", "-", ",", "..", "\n#### 12\n", "12\n\nQuestion: "]

    def one(said, right):
        return {
            "said": said,
            "right": right,
            **{
                name: float(exact_match_hf_evaluate([rule.apply([[said]], [])[0][0]], [right], regexes_to_ignore=ignored, ignore_case=True)["exact_match"])
                for name, rule in (("strict", strict), ("flexible", flexible))
            },
        }

    cases = []
    for _ in range(1500):
        said = "".join(rng.choice(parts) for _ in range(rng.randint(0, 6)))
        right = rng.choice(["#### 12", "12", "#### 1,000", "so 3 + 9 = 12\n#### 12", "#### -3", "$12.", "12.0", said, said + "."])
        cases.append(one(said, right))
    for answer in answers:
        final = answer.split("#### ")[1]
        said = rng.choice([answer, f"The answer is {final}.", f"The answer is ${final}", answer.replace(final, "7"), f"#### {final}\n\nQuestion: how 5?"])
        cases.append(one(said, answer))
    return cases


golden = {"pairs": pairs(), "corpora": corpora(), "words": words(), "numbers": numbers()}
# Fixed time in the header: the same values make the same bytes.
with open(out, "wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=9, mtime=0) as file:
    file.write(json.dumps(golden).encode())
print({name: len(cases) for name, cases in golden.items()})
