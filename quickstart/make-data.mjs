// Makes quickstart/data from copies of its sources: node quickstart/make-data.mjs SOURCES
//   SOURCES/books/*.md.gz                  English books, one file each
//   SOURCES/wikipedia/*.xml*.bz2           a dump of the English Wikipedia
//   SOURCES/commoncrawl/whirlwind.warc.gz  one page of Common Crawl
//   SOURCES/c4/c4_demo.jsonl.gz            pages of C4
//   SOURCES/squad/dev-v2.0.json.gz         SQuAD 2.0
//   SOURCES/medquad/**/*.xml               MedQuAD, unpacked
//   SOURCES/wikigold/wikigold.conll.txt    Wikigold
// Everything is chosen by hashes, so that the same sources give the same files. Needs Node and the program bzip2.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'

const sources = process.argv[2]
/** Labelled rows for training: few, as it is where labels are made by hand. */
const [squadRows, medquadRows, wikigoldRows] = [320, 300, 400]
const data = join(import.meta.dirname, 'data')
/** In [0, 1), the same for the same text. */
const hash = (text) => Number.parseInt(createHash('sha256').update(text).digest('hex').slice(0, 8), 16) / 2 ** 32
const byHash = (keyOf) => (a, b) => hash(keyOf(a)) - hash(keyOf(b))
const bzip2 = (text) => execFileSync('bzip2', ['-9c'], { input: text, maxBuffer: 2 ** 28 })
/** Raw text is packed with bzip2, which takes a fifth less than gzip. */
const write = (path, text) =>
  writeFileSync(join(data, path), path.endsWith('.bz2') ? bzip2(text) : gzipSync(text, { level: 9 }))
const jsonLines = (rows) => `${rows.map((row) => JSON.stringify(row)).join('\n')}\n`
const lines = (path) =>
  (path.endsWith('.gz') ? gunzipSync(readFileSync(path)) : readFileSync(path)).toString().trimEnd().split('\n')
for (const folder of ['books', 'crawl', 'squad', 'medquad', 'wikigold']) {
  rmSync(join(data, folder), { recursive: true, force: true })
  mkdirSync(join(data, folder), { recursive: true })
}

// Six books that were published between 1791 and 1912.
const books = [
  'arthur-conan-doyle_the-lost-world',
  'benjamin-franklin_the-autobiography-of-benjamin-franklin',
  'charles-darwin_on-the-origin-of-species',
  'edith-nesbit_the-railway-children',
  'h-g-wells_thirty-strange-stories',
  'lewis-carroll_through-the-looking-glass',
]
for (const book of books)
  write(`books/${book}.md.bz2`, gunzipSync(readFileSync(join(sources, 'books', `${book}.md.gz`))))

// Half of the dump's pages, redirects included, in their order.
const dump = readdirSync(join(sources, 'wikipedia')).find((name) => name.endsWith('.bz2'))
const xml = execFileSync('bzip2', ['-dc', join(sources, 'wikipedia', dump)], { maxBuffer: 2 ** 28 }).toString()
const half = xml.replace(/ {2}<page>[\s\S]*?<\/page>\n/g, (page) =>
  hash(/<title>(.*?)<\/title>/.exec(page)[1]) < 0.5 ? page : '',
)
write('enwiki-pages-articles-sample.xml.bz2', half)

// One page as Common Crawl keeps it, and pages that C4 extracted from it.
copyFileSync(join(sources, 'commoncrawl', 'whirlwind.warc.gz'), join(data, 'crawl', 'whirlwind.warc.gz'))
const pages = lines(join(sources, 'c4', 'c4_demo.jsonl.gz')).map((line) => JSON.parse(line))
write('crawl/c4.jsonl.bz2', jsonLines(pages.map(({ text }) => ({ text }))))

// Paragraphs of Wikipedia articles are unlabelled text. A row is a question about one of them and the article's title. Questions of
// the same paragraph are in the same split.
const { data: articles } = JSON.parse(lines(join(sources, 'squad', 'dev-v2.0.json.gz')).join('\n'))
const paragraphs = []
const questions = { train: [], dev: [] }
for (const { title, paragraphs: own } of articles)
  for (const { context, qas } of own) {
    paragraphs.push({ text: context })
    const split = hash(context) < 0.35 ? 'dev' : 'train'
    for (const { question, is_impossible: impossible } of qas)
      if (!impossible) questions[split].push({ question: question.trim(), article: title.replaceAll('_', ' ') })
  }
for (const [split, count] of [
  ['train', squadRows],
  ['dev', 800],
]) {
  const rows = questions[split].sort(byHash(({ question }) => `row ${question}`)).slice(0, count)
  write(`squad/${split}.jsonl.gz`, jsonLines(rows))
}
write('squad/unlabelled.jsonl.bz2', jsonLines(paragraphs))

// Answers about health. A row is the beginning of an answer and the kind of question that it answers; of the most frequent kind, a
// part. Whole files are held out for validation; the answers of the other files are unlabelled text.
const topics = [
  'causes',
  'considerations',
  'exams and tests',
  'information',
  'prevention',
  'susceptibility',
  'symptoms',
  'treatment',
]
const unescaped = (text) =>
  text.replace(/&(lt|gt|quot|apos|amp);/g, (_, name) => ({ lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' })[name])
const rows = { train: [], dev: [] }
const answers = new Set()
const seen = new Set()
for (const entry of readdirSync(join(sources, 'medquad'), { recursive: true }).sort()) {
  if (!entry.endsWith('.xml')) continue
  const split = hash(entry.split('/').at(-1)) < 0.2 ? 'dev' : 'train'
  const file = readFileSync(join(sources, 'medquad', entry), 'utf8')
  const pairs = file.matchAll(/<Question qid="([^"]*)" qtype="([^"]*)">[\s\S]*?<Answer>([\s\S]*?)<\/Answer>/g)
  for (const [, id, topic, answer] of pairs) {
    const whole = unescaped(answer)
      .replace(/\s+/g, ' ')
      .replace(/^Espaol /, '')
      .trim()
    if (split === 'train' && whole.length >= 60) answers.add(whole.slice(0, 2000))
    const text = whole.length <= 400 ? whole : whole.slice(0, whole.lastIndexOf(' ', 400))
    if (text.length < 60 || !topics.includes(topic) || seen.has(text)) continue
    if (topic === 'information' && hash(id) > 0.25) continue
    seen.add(text)
    rows[split].push({ id, text, topic })
  }
}
rows.train.sort(byHash(({ id }) => `row ${id}`))
write('medquad/train.jsonl.gz', jsonLines(rows.train.slice(0, medquadRows)))
write('medquad/dev.jsonl.gz', jsonLines(rows.dev))
let characters = 0
const chosen = [...answers].sort(byHash((text) => text)).filter((text) => (characters += text.length) <= 1_200_000)
write('medquad/unlabelled.jsonl.bz2', jsonLines(chosen.map((text) => ({ text }))))

// Sentences of Wikipedia with names. Blocks of twenty sentences, which are of few articles, are held out for validation.
const tagged = lines(join(sources, 'wikigold', 'wikigold.conll.txt'))
  .join('\n')
  .split(/\n\n+/)
  .filter((sentence) => sentence.trim() !== '' && !sentence.includes('-DOCSTART-'))
const isDev = (_, i) => hash(`block ${Math.floor(i / 20)}`) < 0.3
const training = tagged.filter((...each) => !isDev(...each))
const labelled = [...training].sort(byHash((sentence) => sentence)).slice(0, wikigoldRows)
for (const [name, sentences] of Object.entries({ train: labelled, dev: tagged.filter(isDev) }))
  write(`wikigold/${name}.conll.gz`, `${sentences.join('\n\n')}\n`)
const plain = training.map((sentence) => sentence.replace(/ [^ \n]*(\n|$)/g, ' ').trim())
write('wikigold/unlabelled.jsonl.bz2', jsonLines(plain.map((text) => ({ text }))))
