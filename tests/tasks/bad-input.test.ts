// Faulty data for the readers of tasks: an error with file and line.
import { gzipSync } from 'node:zlib'
import { afterAll, describe, expect, it } from 'vitest'
import { DataError } from '../../src/core/index.ts'
import {
  answer,
  answers,
  type Content,
  choices,
  classes,
  file,
  latin,
  lines,
  numbers,
  read,
  removeFiles,
  type Settings,
  squad,
  tags,
  wide,
} from './input-files.ts'

afterAll(removeFiles)

/** A file of each format of rows with one good record of each class. */
const good: { [name: string]: string } = {
  'a.csv': 'text,label\ngood,x\nbad,y\n',
  'a.tsv': 'text\tlabel\ngood\tx\nbad\ty\n',
  'a.jsonl': `${lines({ text: 'good', label: 'x' }, { text: 'bad', label: 'y' })}\n`,
  'a.json': JSON.stringify([
    { text: 'good', label: 'x' },
    { text: 'bad', label: 'y' },
  ]),
}
const bothClasses = [
  { text: 'good', labels: ['x'] },
  { text: 'bad', labels: ['y'] },
]

describe.each(Object.entries(good))('a %s file', (name, content) => {
  it.each([
    ['a byte order mark', `\ufeff${content}`],
    ['carriage returns before line feeds', content.replaceAll('\n', '\r\n')],
    ['empty lines', name === 'a.json' ? `\n\n${content}\n` : `\n${content.replaceAll('\n', '\n\n')}`],
    ['no line feed at its end', content.trimEnd()],
  ])('is read with %s', async (what, odd) => {
    expect((await read(classes, file(`${what.length}/${name}`, odd))).records).toMatchObject(bothClasses)
  })

  it.each<[string, Content, RegExp]>([
    ['UTF-16', wide(content), /:1: Expected UTF-8, got UTF-16/],
    ['UTF-16 of the other byte order', wide(content).swap16(), /:1: Expected UTF-8, got UTF-16/],
    ['UTF-16 without a mark', Buffer.from(content, 'utf16le'), /:1: Expected UTF-8 text, got a zero byte/],
    ['Latin-1', latin(content.replace('bad', 'caf\xe9')), /:\d: Expected UTF-8, got bytes of another encoding/],
    ['a zero byte', content.replace('bad', 'b\0d'), /:\d: Expected UTF-8 text, got a zero byte/],
    ['nothing', '', /Expected (at least one record, got none|JSON, got Unexpected end)/],
  ])('is refused where it is %s', async (what, wrong, message) => {
    const path = file(`${what.length}-/${name}`, wrong)
    await expect(read(classes, path)).rejects.toThrow(message)
    await expect(read(classes, path, { onFault: 'skip' })).rejects.toThrow(DataError)
  })

  it('is refused where it is a truncated gzip file', async () => {
    const whole = gzipSync(content.repeat(200))
    await expect(read(classes, file(`cut/${name}.gz`, whole.subarray(0, whole.length - 20)))).rejects.toThrow(
      /\.gz: Expected an intact gzip stream, got damage or an early end/,
    )
  })
})

/** Task, file, content, settings, and what is said. */
const refused: [title: string, type: string, name: string, content: Content, settings: Settings, message: RegExp][] = [
  [
    'columns twice',
    classes,
    'a.csv',
    'text,text,label\na,b,c\n',
    {},
    /a\.csv:1: .*distinct column names, got `text` twice/,
  ],
  ['carriage returns alone', classes, 'b.csv', 'text,label\ra,x\r', {}, /b\.csv:1: .*carriage returns alone/],
  ['rows that are too short', classes, 'c.csv', 'text,label\na,x\nb\n', {}, /c\.csv:3: Expected 2 columns.* got 1/],
  ['rows that are too long', classes, 'd.csv', 'text,label\na,b,x\n', {}, /d\.csv:2: Expected 2 columns.* got 3/],
  ['an open quote', classes, 'e.csv', 'text,label\na,x\n"b,y\nc,x\n', {}, /e\.csv:3: Expected a closing "/],
  [
    'a column that is misnamed',
    classes,
    'f.jsonl',
    lines({ txt: 'a', label: 'x' }),
    {},
    /f\.jsonl:1: .*Did you mean `txt`/,
  ],
  [
    'a column that is missing later',
    classes,
    'g.jsonl',
    lines({ text: 'a', label: 'x' }, { label: 'y' }),
    {},
    /g\.jsonl:2: Expected text in column "text", got nothing/,
  ],
  ['no pair', classes, 'h.csv', good['a.csv'], { pair: 'second' }, /h\.csv:2: Expected a column "second" for `pair`/],
  ['an empty text', classes, 'i.csv', 'text,label\na,x\n  ,y\n', {}, /i\.csv:3: .*got an empty text/],
  [
    'null for a label',
    classes,
    'j.jsonl',
    lines({ text: 'a', label: null }),
    {},
    /j\.jsonl:1: Expected a label .* got null/,
  ],
  [
    'an object for a label',
    classes,
    'k.jsonl',
    lines({ text: 'a', label: { x: 1 } }),
    {},
    /k\.jsonl:1: Expected a label/,
  ],
  [
    'an unknown label',
    classes,
    'l.csv',
    'text,label\na,pos\nb,negativ\n',
    { labels: ['neg', 'pos', 'negative'] },
    /l\.csv:3: .*got "negativ". Did you mean `negative`/,
  ],
  [
    'a number past the labels',
    classes,
    'm.csv',
    'text,label\na,0\nb,2\n',
    { labels: ['no', 'yes'] },
    /m\.csv:3: Expected one of the labels no, yes, got "2"/,
  ],
  [
    'ids twice',
    classes,
    'n.csv',
    'id,text,label\n1,a,x\n1,b,y\n',
    { id: 'id' },
    /n\.csv:3: Expected distinct ids, got "1" again, as in .*n\.csv:2/,
  ],
  ['a list in a .jsonl file', classes, 'o.jsonl', '[{"text":"a","label":"x"}]', {}, /o\.jsonl:1: Expected an object/],
  ['one document in a .jsonl file', classes, 'p.jsonl', '{\n"text": "a"\n}', {}, /p\.jsonl:1: .*name it \.json/],
  [
    'lines in a .json file',
    classes,
    'q.json',
    lines({ text: 'a' }, { text: 'b' }),
    {},
    /q\.json:2: .*name the file \.jsonl/,
  ],
  ['a spreadsheet', classes, 'r.xlsx', 'PK\x03\x04', {}, /r\.xlsx: Expected a file ending in \.jsonl/],
  [
    'a line that is too long',
    classes,
    's.jsonl',
    Buffer.alloc(2 ** 26 + 2, 97),
    {},
    /s\.jsonl:1: Expected lines of at most 67108864 bytes/,
  ],
  [
    'a number for several labels',
    classes,
    't.jsonl',
    lines({ text: 'a', label: 3 }),
    { multiLabel: true },
    /t\.jsonl:1: Expected a list of labels/,
  ],
  [
    'null among labels',
    classes,
    'u.jsonl',
    lines({ text: 'a', label: ['x', null] }),
    { multiLabel: true },
    /u\.jsonl:1: Expected a list of labels/,
  ],
  [
    '2 in a column of 0 and 1',
    classes,
    'v.csv',
    'text,toxic,insult\na,1,0\nb,2,1\n',
    { multiLabel: true, labelColumns: ['toxic', 'insult'] },
    /v\.csv:3: Expected 0 or 1 in column "toxic", got "2"/,
  ],
  [
    'no column of 0 and 1',
    classes,
    'w.csv',
    'text,toxic\na,1\n',
    { multiLabel: true, labelColumns: ['toxic', 'insult'] },
    /w\.csv:2: Expected a column "insult"/,
  ],
  [
    'no archive',
    classes,
    'x.tar.gz',
    gzipSync(Buffer.alloc(2000, 65)),
    { format: 'folders' },
    /x\.tar\.gz: Expected a tar header at byte 0/,
  ],

  [
    'text for a number',
    numbers,
    'a.csv',
    'text,label\na,1\nb,much\n',
    {},
    /a\.csv:3: Expected a number in column "label", got "much"/,
  ],
  ['a decimal comma', numbers, 'b.csv', 'text,label\na,"1,5"\n', {}, /b\.csv:2: Expected a number .* got "1,5"/],
  ['a number without an end', numbers, 'c.csv', 'text,label\na,Infinity\n', {}, /c\.csv:2: Expected a number/],
  ['a number that float32 lacks', numbers, 'd.csv', 'text,label\na,1e300\n', {}, /d\.csv:2: Expected a number/],
  ['not a number', numbers, 'e.jsonl', '{"text":"a","label":"nan"}', {}, /e\.jsonl:1: Expected a number/],

  [
    'too few tags',
    tags,
    'a.jsonl',
    lines({ tokens: ['a', 'b'], tags: ['O'] }),
    {},
    /a\.jsonl:1: Expected 2 tags .* got 1/,
  ],
  ['no list of words', tags, 'b.jsonl', lines({ tokens: [['a']], tags: ['O'] }), {}, /b\.jsonl:1: Expected words/],
  ['no words', tags, 'c.jsonl', lines({ tokens: [], tags: [] }), {}, /c\.jsonl:1: Expected words/],
  [
    'a word of spaces',
    tags,
    'd.jsonl',
    lines({ tokens: ['a', ' '], tags: ['O', 'O'] }),
    {},
    /d\.jsonl:1: Expected words/,
  ],
  [
    'a tag past the labels',
    tags,
    'e.jsonl',
    lines({ tokens: ['a'], tags: [7] }),
    { labels: ['O', 'B-X'] },
    /e\.jsonl:1: .*got "7"/,
  ],
  [
    'no column of tags',
    tags,
    'f.jsonl',
    lines({ tokens: ['a'], ner: ['O'] }),
    {},
    /f\.jsonl:1: Expected a column "tags"/,
  ],
  [
    'ids of sentences twice',
    tags,
    'g.jsonl',
    lines({ id: 1, tokens: ['a'], tags: ['O'] }, { id: 1, tokens: ['b'], tags: ['X'] }),
    { id: 'id' },
    /g\.jsonl:2: Expected distinct ids/,
  ],
  ['a line without a tag', tags, 'a.conll', 'Ada B-PER\nruns\n', {}, /a\.conll:2: Expected a tag after the token/],
  ['an empty tag', tags, 'b.conll', 'Ada\tB-PER\nruns\t\n', {}, /b\.conll:2: Expected a tag after the token/],
  ['an empty token', tags, 'c.conll', 'Ada\tB-PER\n\tO\n', {}, /c\.conll:2: Expected a token/],
  ['Latin-1 words', tags, 'd.conll', latin('Ada B-PER\ncaf\xe9 O\n'), {}, /d\.conll:2: Expected UTF-8/],
  ['UTF-16 words', tags, 'e.conll', wide('Ada B-PER\n'), {}, /e\.conll:1: Expected UTF-8, got UTF-16/],

  [
    'an answer that is not there',
    answers,
    'a.json',
    squad(answer('dog', 2)),
    {},
    /a\.json:1: Expected the answer "dog" of question "i" at its `answer_start`/,
  ],
  ['an answer past the end', answers, 'b.json', squad(answer('cat', 9999)), {}, /b\.json:1: Expected the answer "cat"/],
  [
    'an answer before the beginning',
    answers,
    'c.json',
    squad(answer('cat', -1)),
    {},
    /c\.json:1: Expected `text` and `answer_start`/,
  ],
  [
    'a place between characters',
    answers,
    'd.json',
    squad(answer('cat', 2.5)),
    {},
    /d\.json:1: Expected `text` and `answer_start`/,
  ],
  ['an empty answer', answers, 'e.json', squad(answer('', 2)), {}, /e\.json:1: Expected `text` and `answer_start`/],
  ['no answers', answers, 'f.json', squad({}), {}, /f\.json:1: Expected a list for `answers`, got nothing/],
  [
    'no context',
    answers,
    'g.json',
    squad({ answers: [] }, null),
    {},
    /g\.json:1: Expected text for `context`, got null/,
  ],
  [
    'an empty question',
    answers,
    'h.json',
    squad({ question: ' ', answers: [] }),
    {},
    /h\.json:1: Expected text for `question`/,
  ],
  [
    'no answer by the rules of 1.1',
    answers,
    'i.json',
    squad({ answers: [] }),
    { version: '1.1' },
    /i\.json:1: .*in SQuAD 1\.1/,
  ],
  [
    'questions in no list',
    answers,
    'j.json',
    JSON.stringify({ data: [{ paragraphs: [{ context: 'x', qas: 5 }] }] }),
    {},
    /j\.json:1: Expected a list for `qas`/,
  ],
  [
    'ids of questions twice',
    answers,
    'k.jsonl',
    lines(...[1, 2].map(() => ({ id: 'i', question: 'q', context: 'c', answers: [] }))),
    {},
    /k\.jsonl:2: Expected distinct ids/,
  ],
  [
    'texts without places',
    answers,
    'l.jsonl',
    lines({ question: 'q', context: 'a cat', answers: { text: ['cat'], answer_start: [] } }),
    {},
    /l\.jsonl:1: Expected `text` and `answer_start`/,
  ],
  [
    'no column of contexts',
    answers,
    'm.jsonl',
    lines({ question: 'q', passage: 'c', answers: [] }),
    {},
    /m\.jsonl:1: Expected a column "context"/,
  ],
  ['no questions', answers, 'n.json', '{"data":[]}', {}, /n\.json: Expected at least one record, got none/],

  [
    'one choice',
    choices,
    'a.jsonl',
    lines({ text: 't', choices: ['a'], label: 0 }),
    {},
    /a\.jsonl:1: Expected two texts or more/,
  ],
  [
    'a choice past the last',
    choices,
    'b.jsonl',
    lines({ text: 't', choices: ['a', 'b'], label: 2 }),
    {},
    /b\.jsonl:1: Expected the index, letter or text/,
  ],
  [
    'a choice before the first',
    choices,
    'c.jsonl',
    lines({ text: 't', choices: ['a', 'b'], label: -1 }),
    {},
    /c\.jsonl:1: Expected the index/,
  ],
  [
    'no column of a choice',
    choices,
    'd.csv',
    'text,a,label\nx,y,0\n',
    { choices: ['a', 'b'] },
    /d\.csv:2: Expected a column "b"/,
  ],
]

it.each(refused)('%s: %s refuses it with file and line (%s)', async (title, type, name, content, settings, message) => {
  const path = file(`refused/${title}/${name}`, content)
  const error = await read(type, path, settings).then(
    () => undefined,
    (reason: Error) => reason,
  )
  expect(error).toBeInstanceOf(DataError)
  expect(error!.message).toMatch(message)
  expect(error!.message.split('\n').length).toBe(1)
})
