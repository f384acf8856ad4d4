// Files as people have them: every format, and what is said of those that are broken.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { parquetWriteBuffer } from 'hyparquet-writer'
import { afterAll, describe, expect, it } from 'vitest'
import { readPredictions, statisticsOf, type TaskDefinition, taskConfig, tasks } from '../../src/tasks/index.ts'

const folder = mkdtempSync(join(tmpdir(), 'tasks-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const file = (name: string, content: string | Uint8Array): string => {
  const path = join(folder, name)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, content)
  return path
}
const read = (type: keyof typeof tasks, path: string, settings: { [name: string]: unknown } = {}) => {
  const task = tasks[type] as unknown as TaskDefinition
  return task.read(path, taskConfig(task, settings))
}

/** A zip archive of files that are not compressed. */
const storedZip = (files: { [name: string]: string }): Buffer => {
  const locals: Buffer[] = []
  const entries: Buffer[] = []
  let at = 0
  for (const [name, text] of Object.entries(files)) {
    const local = Buffer.alloc(30)
    local.writeUInt32LE(0x04034b50, 0)
    local.writeUInt16LE(name.length, 26)
    const entry = Buffer.alloc(46)
    entry.writeUInt32LE(0x02014b50, 0)
    entry.writeUInt32LE(text.length, 20)
    entry.writeUInt32LE(text.length, 24)
    entry.writeUInt16LE(name.length, 28)
    entry.writeUInt32LE(at, 42)
    locals.push(local, Buffer.from(name), Buffer.from(text))
    entries.push(entry, Buffer.from(name))
    at += local.length + name.length + text.length
  }
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(Object.keys(files).length, 10)
  end.writeUInt32LE(at, 16)
  return Buffer.concat([...locals, ...entries, end])
}

describe('records', () => {
  const rows = [
    { text: 'good, "really"', label: 'yes' },
    { text: 'bad\nline', label: 'no' },
  ]
  it.each([
    ['a.jsonl', rows.map((row) => JSON.stringify(row)).join('\n')],
    ['a.json', JSON.stringify(rows)],
    ['a.csv', 'text,label\n"good, ""really""",yes\r\n"bad\nline",no\n'],
    ['classes.json', JSON.stringify({ data: rows })],
  ])('of %s are read', async (name, content) => {
    const { records } = await read('sequence-classification', file(name, content))
    expect(records).toMatchObject([
      { text: 'good, "really"', labels: ['yes'] },
      { text: 'bad\nline', labels: ['no'] },
    ])
  })

  it('of folders are read, of one split where there are several', async () => {
    for (const split of ['train', 'test'])
      for (const label of ['pos', 'neg', 'unsup']) file(`set/${split}/${label}/1_8.txt`, `${split} ${label}`)
    const { records } = await read('sequence-classification', join(folder, 'set/test'), {
      format: 'folders',
      folders: ['neg', 'pos'],
    })
    expect(records).toMatchObject([
      { text: 'test neg', labels: ['neg'] },
      { text: 'test pos', labels: ['pos'] },
    ])
    for (const path of [join(folder, 'set'), `./${relative('', folder)}/set`, `${folder}//set`]) {
      const inside = await read('sequence-classification', path, {
        format: 'folders',
        folders: ['pos'],
        split: 'train',
      })
      expect(inside.records).toMatchObject([{ text: 'train pos' }])
    }
    const format = { format: 'folders', folders: ['neg', 'pos'], split: 'test' }
    const archive = file(
      'set.zip',
      storedZip({ 'set/test/pos/1_8.txt': 'test pos', 'set/test/neg/1_8.txt': 'test neg' }),
    )
    const packed = await read('sequence-classification', archive, format)
    expect(packed.records.map(({ id, file: _, ...record }) => record)).toEqual(
      records.map(({ id, file: _, ...record }) => record),
    )
    await expect(read('sequence-classification', join(folder, 'set'))).rejects.toThrow(
      /set: Expected files of records in the folder, got text files only.* `format` folders/,
    )
    file('two/train.jsonl', '{"text":"a","label":"x"}')
    file('two/dev.jsonl', '{"text":"b","label":"y"}')
    await expect(read('sequence-classification', join(folder, 'two'))).rejects.toThrow(
      /Expected files of one split, got dev.jsonl, train.jsonl/,
    )
    expect((await read('sequence-classification', join(folder, 'two'), { split: 'validation' })).records).toMatchObject(
      [{ text: 'b' }],
    )
  })

  it('of folders named after splits are read, whatever the folders above are called', async () => {
    const label = (name: string) => `text,label\n${name},x\n`
    file('test/reviews/train/a.csv', label('train a'))
    file('test/reviews/train/parts/b.csv', label('train b'))
    file('test/reviews/test/a.csv', label('test a'))
    file('test/reviews/fold1/valid/a.csv', label('valid a'))
    const path = join(folder, 'test/reviews')
    const texts = async (settings: object, of = path) =>
      (await read('sequence-classification', of, { ...settings })).records.map(
        (record) => 'text' in record && record.text,
      )
    await expect(texts({})).rejects.toThrow(
      'reviews: Expected files of one split, got fold1/valid/a.csv, test/a.csv, train/a.csv, train/parts/b.csv. Set `split`',
    )
    expect(await texts({ split: 'train' })).toEqual(['train a', 'train b'])
    expect(await texts({ split: 'test' })).toEqual(['test a'])
    expect(await texts({ split: 'dev' })).toEqual(['valid a'])
    expect(await texts({ split: 'fold1' })).toEqual(['valid a'])
    expect(await texts({}, join(path, 'train'))).toEqual(['train a', 'train b'])
    await expect(texts({ split: 'test' }, join(path, 'train'))).rejects.toThrow(
      /train: Expected files with "test" in their name, or in that of their folder, for `split`, got a.csv, parts\/b.csv/,
    )
  })

  it('of Parquet files have the class names that Hugging Face declares', async () => {
    const classLabel = (...names: string[]) => ({ names, _type: 'ClassLabel' })
    const written = (name: string, columns: { [column: string]: unknown[] }, features: object) => {
      // As `datasets` 5.2 writes it: `to_parquet` of a data set with these features.
      const kvMetadata = [{ key: 'huggingface', value: JSON.stringify({ info: { features } }) }]
      const columnData = Object.entries(columns).map(([column, data]) => ({ name: column, data }))
      return file(name, new Uint8Array(parquetWriteBuffer({ columnData, kvMetadata })))
    }
    const text = ['good', 'bad', 'none']
    const features = { label: classLabel('neg', 'pos') }
    const one = written('hf.parquet', { text, label: [1, 0, -1] }, features)
    await expect(read('sequence-classification', one)).rejects.toThrow(
      'hf.parquet:3: Expected a label in column "label", got -1, which marks a record without one.',
    )
    const { records, report } = await read('sequence-classification', one, { onFault: 'skip' })
    expect(records).toMatchObject([{ labels: ['pos'] }, { labels: ['neg'] }])
    expect(report.skipped).toMatchObject({ 'no-label': { count: 1 } })
    await expect(
      read('sequence-classification', written('far.parquet', { text, label: [1, 0, 2] }, features)),
    ).rejects.toThrow('far.parquet:3: Expected the number of a class from 0 to 1 in column "label", got 2.')
    expect((await read('regression', one)).records).toMatchObject([{ value: 1 }, { value: 0 }, { value: -1 }])
    const tags = classLabel('O', 'B-PER')
    for (const feature of [{ feature: tags, _type: 'List' }, { feature: tags, _type: 'Sequence' }, [tags]]) {
      const lists = { tokens: [['Ada', 'ran']], tags: [[1, 0]] }
      const tagged = await read('token-classification', written('tags.parquet', lists, { tags: feature }))
      expect(tagged.records).toMatchObject([{ tags: ['B-PER', 'O'] }])
    }
    const choices = { text: ['a'], choices: [['x', 'y']], label: [1] }
    const copa = written('copa.parquet', choices, { label: classLabel('choice1', 'choice2') })
    expect((await read('multiple-choice', copa)).records).toMatchObject([{ answer: 1 }])
  })

  it.each([
    [
      'a column that is not there',
      'm.csv',
      'txt,label\na,b\n',
      {},
      /m.csv:2: Expected a column "text" for `text`, got the columns txt, label. Did you mean `txt`\?/,
    ],
    [
      'an unknown label',
      'l.csv',
      'text,label\na,posiitve\n',
      { labels: ['negative', 'positive'] },
      /l.csv:2: .*got "posiitve". Did you mean `positive`\?/,
    ],
    [
      'an empty text',
      'e.csv',
      'text,label\na,x\n ,y\n',
      {},
      /e.csv:3: Expected text in column "text", got an empty text\. Correct the record, or skip and count such records: `settings\.onFault: "skip"`\.$/,
    ],
    ['broken JSON', 'b.jsonl', '{"text":"a","label":"x"}\n{"text"\n', {}, /b.jsonl:2: Expected JSON/],
    ['other columns', 'c.csv', 'text,label\na,b,c\n', {}, /c.csv:2: Expected 2 columns, as in the header, got 3/],
    ['an open quote', 'q.csv', 'text,label\n"a,b\n', {}, /q.csv:2: Expected a closing "/],
    [
      'another encoding',
      'latin.csv',
      Uint8Array.from(Buffer.from('text,label\ncaf\xe9,x\n', 'latin1')),
      {},
      /latin.csv:2: Expected UTF-8/,
    ],
    [
      'repeated ids',
      'i.csv',
      'id,text,label\n1,a,x\n1,b,y\n',
      { id: 'id' },
      /i.csv:3: Expected distinct ids, got "1" again/,
    ],
    ['no records', 'n.csv', 'text,label\n', {}, /n.csv: Expected at least one record, got none/],
  ])('are refused with file and line for %s', async (_, name, content, settings, message) => {
    await expect(read('sequence-classification', file(name, content), settings)).rejects.toThrow(message)
  })

  it('that cannot be used are counted with `onFault` skip', async () => {
    const path = file('s.csv', 'text,label\na,x\n,y\nb,y,z\nc,y\n')
    const { records, report } = await read('sequence-classification', path, { onFault: 'skip' })
    expect(records.length).toBe(2)
    expect(report.skipped).toMatchObject({
      'empty-text': { count: 1, first: expect.stringMatching(/s.csv:3/) },
      'wrong-columns': { count: 1 },
    })
  })

  it('of one class are refused', async () => {
    const task = tasks['sequence-classification']
    const { records } = await task.read(file('o.csv', 'text,label\na,x\nb,x\n'), taskConfig(task))
    expect(() => task.headOptions(statisticsOf(task, records), taskConfig(task))).toThrow(
      /two classes or more, got "x" only/,
    )
  })

  it('of tagged words are read, misaligned ones refused', async () => {
    const { records } = await read(
      'token-classification',
      file('t.conll', '-DOCSTART- O\n\nAda B-PER\nwrites O\n\n\nParis I-LOC\n'),
    )
    expect(records).toMatchObject([
      { tokens: ['Ada', 'writes'], tags: ['B-PER', 'O'], line: 3 },
      { tokens: ['Paris'], line: 7 },
    ])
    await expect(read('token-classification', file('u.conll', 'Ada B-PER\nwrites\n'))).rejects.toThrow(
      /u.conll:2: Expected a tag after the token/,
    )
    await expect(read('token-classification', file('v.jsonl', '{"tokens":["a","b"],"tags":["O"]}'))).rejects.toThrow(
      /v.jsonl:1: Expected 2 tags .* got 1/,
    )
  })

  it('of questions keep the offsets of answers, also after characters of two UTF-16 units', async () => {
    const context = '𝔸𝔹 the cat'
    const squad = (start: number, text = 'cat') =>
      JSON.stringify({
        data: [
          { paragraphs: [{ context, qas: [{ id: 'q', question: 'who?', answers: [{ text, answer_start: start }] }] }] },
        ],
      })
    const { records } = await read('extractive-qa', file('q1.json', squad(7)))
    expect(records).toMatchObject([{ id: 'q', answers: [{ text: 'cat', start: context.indexOf('cat') }] }])
    await expect(read('extractive-qa', file('q2.json', squad(2)))).rejects.toThrow(
      /Expected the answer "cat" of question "q" at its `answer_start`/,
    )
    const moved = await read('extractive-qa', file('q3.json', squad(2)), { onMisplaced: 'nearest' })
    expect(moved).toMatchObject({
      records: [{ answers: [{ start: context.indexOf('cat') }] }],
      report: { movedAnswers: 1 },
    })
    const hub = JSON.stringify({
      id: 'h',
      question: 'who?',
      context: 'a dog',
      answers: { text: ['dog'], answer_start: [2] },
    })
    expect((await read('extractive-qa', file('q4.jsonl', hub))).records).toMatchObject([
      { answers: [{ text: 'dog', start: 2 }] },
    ])
  })

  it('of choices accept indices, letters and texts', async () => {
    const lines = ['1', 'B', 'two']
      .map((label) => JSON.stringify({ text: 't', choices: ['one', 'two'], label }))
      .join('\n')
    expect((await read('multiple-choice', file('c.jsonl', lines))).records).toMatchObject([
      { answer: 1 },
      { answer: 1 },
      { answer: 1 },
    ])
    await expect(
      read('multiple-choice', file('d.jsonl', '{"text":"t","choices":["a","b"],"label":"7"}')),
    ).rejects.toThrow(/d.jsonl:1: Expected the index, letter or text of one of 2 choices, got "7"/)
  })
})

describe('predictions', () => {
  const task = tasks['sequence-classification'] as unknown as TaskDefinition
  const config = taskConfig(task)
  const records = [
    { id: '0', file: 'x', line: 1, labels: ['x'] },
    { id: '1', file: 'x', line: 2, labels: ['y'] },
  ]
  const predictions = (name: string, content: string) => readPredictions(file(name, content), task, records, config)

  it.each([
    ['p.jsonl', '{"id":"1","label":"y"}\n{"id":"0","label":"x"}'],
    ['p.json', '{"1":"y","0":"x"}'],
    ['p.txt', 'x\ny\n'],
    ['p.csv', 'id,prediction\n1,y\n0,x\n'],
  ])('of %s are matched with their records', async (name, content) => {
    expect(await predictions(name, content)).toEqual([
      { id: '0', label: 'x' },
      { id: '1', label: 'y' },
    ])
  })

  it('that are missing, unknown or repeated are refused', async () => {
    await expect(predictions('a.txt', 'x\n')).rejects.toThrow(
      /Expected 2 predictions, one for each record in their order, got 1/,
    )
    await expect(predictions('b.jsonl', '{"id":"0","label":"x"}')).rejects.toThrow(/got none for 1, the first "1"/)
    await expect(predictions('c.jsonl', '{"id":"7","label":"x"}')).rejects.toThrow(
      /c.jsonl:1: Expected an id of the references, got "7"/,
    )
    await expect(predictions('d.jsonl', '{"id":"0","label":"x"}\n{"id":"0","label":"x"}')).rejects.toThrow(
      /d.jsonl:2: .* "0" again/,
    )
    await expect(predictions('e.jsonl', '{"id":"0","label":[1]}\n{"id":"1","label":"x"}')).rejects.toThrow(
      /e.jsonl:1: Expected a label/,
    )
  })
})
