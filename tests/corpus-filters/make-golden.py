"""Writes golden.json: what datatrove decides about real documents, with its default settings.

    python make-golden.py DATA_FOLDER > golden.json        (needs: datatrove 0.10, spacy 3.8, nltk)

The test beside it reads the same documents in the same order and must decide the same.
"""
import gzip, hashlib, json, sys
from pathlib import Path

from datatrove.data import Document
from datatrove.pipeline.filters import C4QualityFilter, FineWebQualityFilter, GopherQualityFilter, GopherRepetitionFilter
from datatrove.pipeline.filters.c4_filters import C4ParagraphFilter
from datatrove.pipeline.formatters import PIIFormatter
from datatrove.utils.text import split_into_sentences, split_into_words

data = Path(sys.argv[1])


def read(path):
    return gzip.open(data / path, "rb").read().decode("utf-8")


def documents():
    for line in read("c4-sample/c4_demo.jsonl.gz").split("\n"):
        if line:
            yield json.loads(line)["text"]
    for line in read("wikipedia-plain/wiki_demo.txt.gz").split("\n"):
        if line:
            yield line
    # Books: every 40th paragraph as a document, alone or with 1 to 7 after it.
    for book in sorted((data / "books").glob("*.md.gz"), key=lambda path: path.name.encode()):
        paragraphs = read(f"books/{book.name}").split("\n")
        for start in range(8, len(paragraphs), 400):
            yield "\n".join(paragraphs[start:start + 1 + start // 400 % 8])
    # WikiText: every 8 lines, with headings.
    lines = read("wikitext-2/valid.txt.gz").split("\n")
    for start in range(0, len(lines), 24):
        yield "\n".join(lines[start:start + 24])
    for row in json.loads(read("gpteacher/codegen-instruct.json.gz"))[::8]:
        yield row["response"]


def name(result):
    if result is True:
        return ""
    return result[1]


filters = {
    "c4": C4QualityFilter(),
    "mc4-paragraphs": C4ParagraphFilter(),
    "gopher-quality": GopherQualityFilter(),
    "gopher-repetition": GopherRepetitionFilter(),
    "fineweb": FineWebQualityFilter(),
}
out = {"datatrove": __import__("importlib.metadata").metadata.version("datatrove"), "documents": 0, "words": [], "sentences": [],
       "decisions": {k: {} for k in filters}, "c4Text": [], "personalData": {}}
for i, text in enumerate(documents()):
    out["documents"] += 1
    words = split_into_words(text)
    out["words"].append(hashlib.sha256("\n".join(words).encode()).hexdigest()[:6])
    out["sentences"].append(len(split_into_sentences(text)))
    for kind, one in filters.items():
        doc = Document(text=text, id=str(i))
        reason = name(one.filter(doc))
        if reason:
            out["decisions"][kind].setdefault(reason, []).append(i)
        if kind == "c4":
            out["c4Text"].append("" if reason else hashlib.sha256(doc.text.encode()).hexdigest()[:6])
    masked = PIIFormatter().format(text)
    if masked != text:
        out["personalData"][i] = hashlib.sha256(masked.encode()).hexdigest()[:12]
json.dump(out, sys.stdout, separators=(",", ":"))
