"""Text of wiki pages and of HTML captures by the Python tools: times as one JSON line, texts into --out.
  corpus_extract.py --job wikiextractor|mwparserfromhell --input dump.xml.bz2 --out texts.json [--rounds 3]
  corpus_extract.py --job trafilatura|resiliparse --input capture.warc.gz --out texts.json"""
import argparse, bz2, html, json, re, resource, subprocess, sys, tempfile, time
from importlib.metadata import version
from pathlib import Path

parser = argparse.ArgumentParser()
for name in ("job", "input", "out"):
    parser.add_argument(f"--{name}", required=True)
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--processes", type=int, default=2)
options = parser.parse_args()


def cpu_seconds():
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def measure(work):
    wall, cpu, result = [], [], None
    for _ in range(options.rounds):
        started, spent = time.perf_counter(), cpu_seconds()
        result = work()
        wall.append(time.perf_counter() - started)
        cpu.append(cpu_seconds() - spent)
    return wall, cpu, result


def wikiextractor():
    with tempfile.TemporaryDirectory() as folder:
        def work():
            return subprocess.run([sys.executable, "-m", "wikiextractor.WikiExtractor", options.input, "--json", "-q",
                                   "-o", folder, "--processes", str(options.processes)], capture_output=True, text=True, check=True)
        wall, cpu, _ = measure(work)
        documents = [json.loads(line) for file in sorted(Path(folder).rglob("wiki_*")) for line in file.read_text().splitlines()]
    return wall, cpu, {document["id"]: document["text"] for document in documents}, 0


def mwparserfromhell():
    import mwparserfromhell as parser
    pages = re.findall(r"<page>.*?<id>(\d+)</id>.*?<text[^>]*>(.*?)</text>", bz2.open(options.input, "rt", encoding="utf-8").read(), re.S)
    pages = [(key, html.unescape(text)) for key, text in pages if not text.lower().startswith("#redirect")]
    wall, cpu, texts = measure(lambda: [parser.parse(text).strip_code() for _, text in pages])
    return wall, cpu, {key: text for (key, _), text in zip(pages, texts)}, sum(len(text) for _, text in pages)


def html_pages():
    from warcio.archiveiterator import ArchiveIterator
    with open(options.input, "rb") as file:
        for record in ArchiveIterator(file):
            if record.rec_type != "response" or record.http_headers is None or record.http_headers.get_statuscode() != "200":
                continue
            if "html" not in (record.http_headers.get_header("Content-Type") or ""):
                continue
            body = record.content_stream().read()
            if body.strip():
                yield record.rec_headers.get_header("WARC-Target-URI"), body


def from_html(extract):
    pages = list(html_pages())
    wall, cpu, texts = measure(lambda: [extract(body.decode("utf-8", "replace")) for _, body in pages])
    return wall, cpu, {key: text or "" for (key, _), text in zip(pages, texts)}, sum(len(body) for _, body in pages)


def trafilatura():
    from trafilatura import extract
    return from_html(lambda text: extract(text, favor_precision=True, include_comments=False))


def resiliparse():
    from resiliparse.extract.html2text import extract_plain_text
    return from_html(lambda text: extract_plain_text(text, main_content=True))


wall, cpu, texts, size = globals()[options.job]()
Path(options.out).write_text(json.dumps(texts))
print(json.dumps({"version": version(options.job), "seconds": wall, "cpuSeconds": cpu, "documents": len(texts), "bytes": size}))
