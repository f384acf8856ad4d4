// Records that are skipped and counted by reason, data that only looks odd, and Parquet files.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { DataError } from '../../src/core/index.ts'
import { statisticsOf, taskConfig } from '../../src/tasks/index.ts'
import {
  answer,
  answers,
  type Content,
  choices,
  classes,
  file,
  folder,
  latin,
  lines,
  numbers,
  read,
  removeFiles,
  type Settings,
  squad,
  tags,
  taskOf,
} from './input-files.ts'

afterAll(removeFiles)

describe('a skipped record', () => {
  it.each<
    [
      type: string,
      name: string,
      content: Content,
      settings: Settings,
      records: number,
      skipped: { [reason: string]: number },
    ]
  >([
    [
      classes,
      'a.csv',
      'text,label\na,x\n,y\nb\nc,\nd,y\n',
      {},
      2,
      { 'empty-text': 1, 'wrong-columns': 1, 'no-label': 1 },
    ],
    [
      classes,
      'b.jsonl',
      '{"text":"a","label":"x"}\n{"text"\n[]\n{"text":5,"label":"x"}\n',
      {},
      1,
      { 'broken-json': 1, 'no-object': 1, 'no-text': 1 },
    ],
    [classes, 'c.csv', 'text,label\na,n\nb,z\nc,z\n', { labels: ['n', 'p'] }, 1, { 'unknown-label': 2 }],
    [classes, 'd.csv', 'id,text,label\n1,a,x\n1,b,y\n2,c,y\n', { id: 'id' }, 2, { 'repeated-id': 1 }],
    [numbers, 'a.csv', 'text,label\na,1\nb,\nc,x\n', {}, 1, { 'no-number': 2 }],
    [tags, 'a.conll', 'Ada B-PER\nruns\n\nParis B-LOC\n\nx\n', {}, 1, { 'misaligned-tags': 2 }],
    [
      tags,
      'b.jsonl',
      lines({ tokens: ['a'], tags: ['O', 'O'] }, { tokens: [], tags: [] }, { tokens: ['b'], tags: ['O'] }),
      {},
      1,
      { 'misaligned-tags': 1, 'empty-text': 1 },
    ],
    [
      answers,
      'a.jsonl',
      lines(
        { question: 'q', context: 'a cat', ...answer('dog', 0) },
        { question: 'q', context: 'a cat', ...answer('cat', 2) },
      ),
      { onMisplaced: 'skip' },
      1,
      { 'answer-not-in-context': 1 },
    ],
    [
      choices,
      'a.jsonl',
      lines(
        { text: 't', choices: ['a'], label: 0 },
        { text: 't', choices: ['a', 'b'], label: 'b' },
        { text: 't', choices: ['a', 'b'], label: 9 },
      ),
      {},
      1,
      { 'no-choices': 1, 'unknown-label': 1 },
    ],
  ])('%s of %s is counted by reason', async (type, name, content, settings, count, skipped) => {
    const { records, report } = await read(type, file(`skipped/${type}/${name}`, content), {
      onFault: 'skip',
      ...settings,
    })
    expect(records.length).toBe(count)
    const counts = Object.entries(report.skipped).map(([reason, { count: times }]) => [reason, times])
    expect(Object.fromEntries(counts)).toEqual(skipped)
    for (const { first } of Object.values(report.skipped)) expect(first).toMatch(/:\d+: Expected/)
  })

  it('is found fast, also where a quote stays open to the end of a long file', async () => {
    const path = file('skipped/open.csv', `text,label\na,x\n"b,y\n${'some words,x\n'.repeat(200_000)}`)
    const started = performance.now()
    const { records, report } = await read(classes, path, { onFault: 'skip' })
    expect(records.length).toBe(1)
    expect(report.skipped['unclosed-quote']).toMatchObject({ count: 1, first: expect.stringContaining('open.csv:3') })
    expect(performance.now() - started).toBeLessThan(10_000)
    const closed = file('skipped/closed.csv', 'text,label\n"a\n\nb, c\n""d""",x\ne,y\n')
    expect((await read(classes, closed)).records).toMatchObject([
      { text: 'a\n\nb, c\n"d"', labels: ['x'], line: 2 },
      { text: 'e', line: 6 },
    ])
  })

  it('is an open quote that the next quoted field closes', async () => {
    const path = file('skipped/swallowed.csv', 'text,label\n"a",x\n"b,y\n"c",x\n"d",y\n')
    await expect(read(classes, path)).rejects.toThrow(/swallowed\.csv:3: Expected a delimiter after the closing quote/)
    const { records, report } = await read(classes, path, { onFault: 'skip' })
    expect(records).toMatchObject([{ text: 'a' }, { text: 'd' }])
    expect(report.skipped['unclosed-quote']).toMatchObject({ count: 1 })
  })

  it('is named by reason where no record is left', async () => {
    const path = file('skipped/all.json', squad(answer('dog', 2)))
    await expect(read(answers, path, { onMisplaced: 'skip' })).rejects.toThrow(
      /got only unusable ones \(1 answer-not-in-context\)/,
    )
  })
})

describe('data without differences to learn', () => {
  const asked = async (type: string, name: string, content: string, settings: Settings = {}) => {
    const { records } = await read(type, file(`same/${name}`, content), settings)
    return taskOf(type).headOptions(statisticsOf(taskOf(type), records), taskConfig(taskOf(type), settings))
  }
  it.each<[string, string, string, string, Settings, RegExp]>([
    [
      'one class',
      classes,
      'a.csv',
      'text,label\na,x\nb,x\n',
      {},
      /a\.csv: Expected records of two classes or more, got "x" only/,
    ],
    [
      'tags without entities',
      tags,
      'pos.conll',
      'the DET\nhouse NOUN\n',
      {},
      /pos\.conll: Expected a tag such as O or B-NAME, .*got "DET".*`scheme` none/,
    ],
    [
      'tags of another scheme',
      tags,
      'iobes.conll',
      'Ada S-PER\nruns O\n',
      { scheme: 'iob2' },
      /with one of the letters BIO, got "S-PER"/,
    ],
    [
      'one class of those named',
      classes,
      'b.csv',
      'text,label\na,x\nb,x\n',
      { labels: ['x', 'y'] },
      /two classes or more, got "x" only/,
    ],
    [
      'the same labels everywhere',
      classes,
      'c.jsonl',
      lines({ text: 'a', label: ['x'] }, { text: 'b', label: ['x'] }),
      { multiLabel: true },
      /got "x" only/,
    ],
    [
      'no labels anywhere',
      classes,
      'd.jsonl',
      lines({ text: 'a', label: [] }, { text: 'b', label: [] }),
      { multiLabel: true },
      /got none with a label/,
    ],
    [
      'a label for each record',
      classes,
      'e.csv',
      `text,label\n${Array.from({ length: 50 }, (_, i) => `t${i},l${i}`).join('\n')}`,
      {},
      /got 50 labels in 50 records/,
    ],
    ['one number', numbers, 'f.csv', 'text,label\na,1\nb,1.0\n', {}, /Expected different numbers, got "1" only/],
    ['one tag', tags, 'g.conll', 'Ada O\nruns O\n', {}, /two classes or more, got "O" only/],
  ])('%s', async (_, type, name, content, settings, message) => {
    await expect(asked(type, name, content, settings)).rejects.toThrow(message)
  })
  it('is accepted where there are few labels for many records', async () => {
    const many = Array.from({ length: 60 }, (_, i) => `t${i},l${i % 12}`).join('\n')
    expect((await asked(classes, 'h.csv', `text,label\n${many}`)).labels?.length).toBe(12)
  })
})

describe('data that only looks odd', () => {
  it.each<[string, string, string, Content, Settings, object[]]>([
    [
      'questions whose ids are empty',
      answers,
      'ids.jsonl',
      lines(
        ...['who sat?', 'what sat?'].map((question) => ({
          id: null,
          question,
          context: 'a cat sat',
          answers: { text: ['cat'], answer_start: [2] },
        })),
      ),
      {},
      [{ id: '0' }, { id: '1' }],
    ],
    [
      'semicolons, as spreadsheets of many countries write',
      classes,
      'a.csv',
      'text;label\n"gut; sehr, sehr";x\nschlecht;y\n',
      {},
      [
        { text: 'gut; sehr, sehr', labels: ['x'] },
        { text: 'schlecht', labels: ['y'] },
      ],
    ],
    [
      'tabs in a .csv file, with quotes as text',
      classes,
      'b.csv',
      'text\tlabel\n"a\tx\n',
      {},
      [{ text: '"a', labels: ['x'] }],
    ],
    ['semicolons beside commas', classes, 'c.csv', 'text,label\na;b,x\n', {}, [{ text: 'a;b', labels: ['x'] }]],
    ['columns without a name', classes, 'd.csv', ',text,,label\n0,a,,x\n', {}, [{ text: 'a', labels: ['x'] }]],
    ['spaces around labels', classes, 'e.csv', 'text,label\na, x \n', {}, [{ labels: ['x'] }]],
    ['a text of 1 MB', classes, 'f.jsonl', lines({ text: 'word '.repeat(2e5), label: 'x' }), {}, [{ labels: ['x'] }]],
    [
      'labels twice in a list',
      classes,
      'g.jsonl',
      lines({ text: 'a', label: ['x', 'x', 'y'] }),
      { multiLabel: true },
      [{ labels: ['x', 'y'] }],
    ],
    [
      'labels in one text',
      classes,
      'h.csv',
      'text,label\na,"x; y"\nb,\n',
      { multiLabel: true },
      [{ labels: ['x', 'y'] }, { labels: [] }],
    ],
    [
      'columns of 0 and 1',
      classes,
      'i.csv',
      'text,toxic,insult\na,1,0\nb,0,0\nc,True,1\n',
      { multiLabel: true, labelColumns: ['toxic', 'insult'] },
      [{ labels: ['toxic'] }, { labels: [] }, { labels: ['toxic', 'insult'] }],
    ],
    [
      'a field that is called as an object is',
      classes,
      'j.jsonl',
      '{"__proto__":{"text":"p"},"text":"a","label":"x"}',
      {},
      [{ text: 'a', labels: ['x'] }],
    ],
    [
      'words and tags in one text each',
      tags,
      'a.csv',
      'tokens,tags\nAda runs,B-PER O\n',
      {},
      [{ tokens: ['Ada', 'runs'], tags: ['B-PER', 'O'] }],
    ],
    [
      'CoNLL-U',
      tags,
      'b.conllu',
      '# text = vámonos al mar\n1-2\tvámonos\t_\t_\n1\tvamos\tir\tVERB\n2\tnos\tnos\tPRON\n2.1\tx\tx\tX\n3\tal\ta\tADP\n\n',
      {},
      [{ tokens: ['vamos', 'nos', 'al'], tags: ['VERB', 'PRON', 'ADP'], line: 3 }],
    ],
    [
      'carriage returns in CoNLL',
      tags,
      'c.conll',
      'Ada B-PER\r\nruns O\r\n\r\nParis B-LOC\r\n',
      {},
      [{ tags: ['B-PER', 'O'] }, { tags: ['B-LOC'], line: 4 }],
    ],
    ['a mark before CoNLL', tags, 'd.conll', '\ufeffAda B-PER\n', {}, [{ tokens: ['Ada'] }]],
    [
      'numbers of tags',
      tags,
      'e.jsonl',
      lines({ tokens: ['a', 'b'], tags: [1, 0] }),
      { labels: ['O', 'B-X'] },
      [{ tags: ['B-X', 'O'] }],
    ],
    [
      'a file that is called .json and holds lines',
      answers,
      'a.json',
      lines({ question: 'q', context: 'a cat', ...answer('cat', 2) }, { question: 'r', context: 'a cat', answers: [] }),
      { format: 'jsonl' },
      [{ question: 'q' }, { answers: [] }],
    ],
  ])('is read: %s', async (title, type, name, content, settings, records) => {
    expect((await read(type, file(`odd/${title}/${name}`, content), settings)).records).toMatchObject(records)
  })
})

describe('folders of classes', () => {
  it('are refused with the file that has another encoding or no text', async () => {
    file('classes/pos/1.txt', 'good')
    file('classes/neg/1.txt', latin('caf\xe9'))
    await expect(read(classes, join(folder, 'classes'), { format: 'folders' })).rejects.toThrow(
      /neg\/1\.txt:1: Expected UTF-8/,
    )
    file('classes/neg/1.txt', ' \n')
    await expect(read(classes, join(folder, 'classes'), { format: 'folders' })).rejects.toThrow(
      /neg\/1\.txt: .*got an empty text/,
    )
    const { records, report } = await read(classes, join(folder, 'classes'), { format: 'folders', onFault: 'skip' })
    expect(records).toMatchObject([{ text: 'good', labels: ['pos'] }])
    expect(report.skipped).toMatchObject({ 'empty-text': { count: 1 } })
  })
})

it('text files are read as CoNLL only where they have tags', async () => {
  const path = file('tagged/eng.txt', 'John NNP B-PER\nruns VB O\n\nthey PRP O\n')
  expect((await read(tags, path)).records).toMatchObject([
    { tokens: ['John', 'runs'], tags: ['B-PER', 'O'] },
    { tokens: ['they'], tags: ['O'] },
  ])
  const task = taskOf(tags)
  await expect(task.read(path, taskConfig(task, {}), { labelled: false })).rejects.toThrow(/eng\.txt: .*Set `format`/)
})

it('folders of CoNLL-U are read', async () => {
  file('universal/a.conllu', '1\tvamos\tir\tVERB\n')
  const { records } = await read(tags, join(folder, 'universal'), { format: 'conll' })
  expect(records).toMatchObject([{ tokens: ['vamos'], tags: ['VERB'] }])
})

describe('Parquet files of pyarrow', () => {
  const golden = (name: string) => join(import.meta.dirname, 'golden', `${name}.parquet`)
  const labels = ['O', 'B-PER', 'B-LOC']

  it.each<[name: string, type: string, settings: Settings, count: number, records: object[]]>([
    [
      'classes',
      classes,
      {},
      1200,
      [
        { text: 'good', labels: ['x'] },
        { text: 'bad', labels: ['y'] },
      ],
    ],
    [
      'encodings',
      classes,
      { labels: ['no', 'yes'] },
      2,
      [
        { text: 'good', labels: ['no'] },
        { text: 'bad', labels: ['yes'] },
      ],
    ],
    [
      'tags',
      tags,
      { labels, id: 'id' },
      2,
      [
        { id: 'p', tokens: ['Ada', 'runs'], tags: ['B-PER', 'O'] },
        { id: 'q', tags: ['B-LOC'] },
      ],
    ],
    [
      'answers',
      answers,
      {},
      2,
      [
        {
          id: 'p',
          answers: [
            { text: 'cat', start: 2 },
            { text: 'a cat', start: 0 },
          ],
        },
        { id: 'q', answers: [] },
      ],
    ],
    ['choices', choices, {}, 1, [{ choices: ['a', 'b'], answer: 1 }]],
    [
      'several',
      classes,
      { multiLabel: true, labels: ['r', 's', 't'] },
      3,
      [{ labels: ['r', 't'] }, { labels: [] }, { labels: ['s'] }],
    ],
    [
      'flags',
      classes,
      { multiLabel: true, labelColumns: ['toxic', 'insult'] },
      2,
      [{ labels: ['toxic'] }, { labels: ['insult'] }],
    ],
  ])('%s are read', async (name, type, settings, count, first) => {
    const { records } = await read(type, golden(name), settings)
    expect(records.length).toBe(count)
    expect(records.slice(0, first.length)).toMatchObject(first)
    expect(records.at(-1)!.line).toBe(count)
  })

  it.each<[name: string, type: string, settings: Settings, message: RegExp]>([
    ['nulls', classes, {}, /nulls\.parquet:2: Expected text in column "text", got null/],
    ['bytes', classes, {}, /bytes\.parquet:2: Expected text in column "text", got bytes that are not UTF-8/],
    ['numbers', numbers, {}, /numbers\.parquet:3: Expected a number in column "label", got NaN/],
    ['misaligned', tags, { labels }, /misaligned\.parquet:2: Expected 1 tags .* got 2/],
    ['nested', tags, { labels }, /nested\.parquet:1: Expected words in column "tokens"/],
    ['classes', classes, { text: 'review' }, /classes\.parquet:1: Expected a column "review"/],
    ['empty', classes, {}, /empty\.parquet: Expected at least one record, got none/],
  ])('%s are refused', async (name, type, settings, message) => {
    await expect(read(type, golden(name), settings)).rejects.toThrow(message)
  })

  it('have their faults counted', async () => {
    const { records, report } = await read(classes, golden('nulls'), { onFault: 'skip' })
    expect(records).toMatchObject([{ text: 'good', line: 1 }])
    expect(report.skipped).toMatchObject({
      'no-text': { count: 1 },
      'no-label': { count: 1 },
      'empty-text': { count: 1 },
    })
  })

  it('that are truncated or damaged at any byte are refused or read, and never crash', async () => {
    const whole = readFileSync(golden('answers'))
    const counts = { read: 0, refused: 0 }
    for (let i = 0; i < 120; i++) {
      const damaged = i % 4 === 0 ? whole.subarray(0, (whole.length * i) / 120) : Buffer.from(whole)
      if (i % 4 !== 0) damaged[(i * 7919) % whole.length] ^= 1 << (i % 8)
      const error = await read(answers, file('damaged.parquet', damaged), {
        onFault: 'skip',
        onMisplaced: 'skip',
      }).then(
        () => undefined,
        (reason: Error) => reason,
      )
      if (error !== undefined) expect(error, error.stack).toBeInstanceOf(DataError)
      counts[error === undefined ? 'read' : 'refused']++
    }
    expect(counts.refused).toBeGreaterThan(30)
    expect(counts.read).toBeGreaterThan(0)
  })
})
