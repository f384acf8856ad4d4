// Makes the labelled rows of quickstart/data from copies of their sources: node quickstart/make-data.mjs SST2 SQUAD MEDQUAD
//   SST2     folder with train.tsv.gz and dev.tsv (GLUE)
//   SQUAD    dev-v2.0.json.gz
//   MEDQUAD  folder with the XML files
// Everything is chosen by hashes, so that the same sources give the same rows. Needs nothing but Node.
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'

const [sst2, squad, medquad] = process.argv.slice(2)
const data = join(import.meta.dirname, 'data')
/** From 0 up to 1, the same for the same text. */
const drawn = (text) => Number.parseInt(createHash('sha256').update(text).digest('hex').slice(0, 8), 16) / 2 ** 32
const byDraw = (a, b) => drawn(a) - drawn(b)
const write = (path, text) =>
  writeFileSync(join(data, path), path.endsWith('.gz') ? gzipSync(text, { level: 9 }) : text)
for (const folder of ['sst2', 'squad', 'medquad']) mkdirSync(join(data, folder), { recursive: true })

// Of the training phrases of movie reviews, 6,000 of five words or more, as GLUE writes them; the dev set whole.
const [header, ...phrases] = gunzipSync(readFileSync(join(sst2, 'train.tsv.gz')))
  .toString()
  .trimEnd()
  .split('\n')
const long = phrases.filter((line) => line.split('\t')[0].trim().split(' ').length >= 5).sort(byDraw)
write('sst2/train.tsv.gz', `${[header, ...long.slice(0, 6000)].join('\n')}\n`)
write('sst2/dev.tsv.gz', readFileSync(join(sst2, 'dev.tsv'), 'utf8'))

// Questions with an answer about paragraphs of at most 1,000 characters; the articles of some titles are held out.
const { version, data: articles } = JSON.parse(gunzipSync(readFileSync(squad)).toString())
const short = articles.map(({ title, paragraphs }) => ({
  title,
  paragraphs: paragraphs
    .filter(({ context }) => context.length <= 1000)
    .map(({ context, qas }) => ({
      context,
      qas: qas
        .filter(({ is_impossible: none }) => !none)
        .map(({ id, question, answers }) => ({ id, question, answers })),
    }))
    .filter(({ qas }) => qas.length > 0),
}))
const titles = short.map(({ title }) => title).sort(byDraw)
const heldOut = new Set(titles.slice(0, Math.ceil(titles.length / 5)))
for (const [name, isHeldOut] of [
  ['train', false],
  ['dev', true],
])
  write(
    `squad/${name}.json.gz`,
    JSON.stringify({ version, data: short.filter(({ title }) => heldOut.has(title) === isHeldOut) }),
  )

// Beginnings of answers about health, and what kind of question each answers; of the kind with most, a part. Whole files are held out.
const kinds = [
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
const seen = new Set()
for (const entry of readdirSync(medquad, { recursive: true }).sort()) {
  if (!entry.endsWith('.xml')) continue
  const xml = readFileSync(join(medquad, entry), 'utf8')
  const pairs = xml.matchAll(/<Question qid="([^"]*)" qtype="([^"]*)">[\s\S]*?<Answer>([\s\S]*?)<\/Answer>/g)
  for (const [, id, topic, answer] of pairs) {
    const whole = unescaped(answer)
      .replace(/\s+/g, ' ')
      .replace(/^Espaol /, '')
      .trim()
    const text = whole.length <= 400 ? whole : whole.slice(0, whole.lastIndexOf(' ', 400))
    const isKept = text.length >= 60 && kinds.includes(topic) && !seen.has(text)
    if (!isKept || (topic === 'information' && drawn(id) > 0.25)) continue
    seen.add(text)
    rows[drawn(entry.split('/').at(-1)) < 0.2 ? 'dev' : 'train'].push(JSON.stringify({ id, text, topic }))
  }
}
for (const name of ['train', 'dev']) write(`medquad/${name}.jsonl.gz`, `${rows[name].join('\n')}\n`)
