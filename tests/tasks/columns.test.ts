// Columns of data: names that are missing, columns that no setting reads, ids, and values that are nested too deep to show.
import { afterAll, describe, expect, it } from 'vitest'
import { answers, choices, classes, file, lines, numbers, read, removeFiles, tags } from './input-files.ts'

afterAll(removeFiles)

describe('a missing column', () => {
  it.each([
    [
      'the flag and a likely column of a text',
      'comments.csv',
      'id,Customer Comment,stars\n1,A fine day.,5\n',
      {},
      /comments\.csv:2: Expected a column "text" for `text`, got the columns id, Customer Comment, stars\. Set `settings\.text: "Customer Comment"`\.$/,
    ],
    [
      'the setting and a likely column of a label',
      'stars.csv',
      'text,stars\nA fine day.,5\n',
      {},
      /"label" for `label`.* Set `settings\.label: "stars"`\.$/,
    ],
    [
      'the most similar name of a misspelt one',
      'review.csv',
      'reviews,label\nA fine day.,5\n',
      { text: 'review' },
      /Did you mean `reviews`\? Set `settings\.text: "reviews"`/,
    ],
  ])('names %s', async (_, name, content, settings, message) => {
    await expect(read(classes, file(name, content), settings)).rejects.toThrow(message)
  })

  it('names the known data set whose columns the file has', async () => {
    const rows = lines({ fname: 'dev_0', dialogue: '#Person1#: Hello.', summary: 'A greeting.', topic: 'hello' })
    await expect(read('summarization', file('dialogues.jsonl', rows))).rejects.toThrow(
      /Set `settings\.text: "dialogue"`\. For the data set dialogsum, set `dataset: "dialogsum"` instead\.$/,
    )
    const other = lines({ dialogue: '#Person1#: Hello.', summary: 'A greeting.' })
    await expect(read('summarization', file('others.jsonl', other))).rejects.toThrow(/"dialogue"`\.$/)
  })

  it('says so where the file has another delimiter than that of its name', async () => {
    const at = (name: string, head: string) => read(classes, file(name, `${head}\nA fine day.\n`))
    await expect(at('one.tsv', 'text,label')).rejects.toThrow(
      /got the column "text,label"\. The file looks comma-separated: name it \.csv\.$/,
    )
    await expect(at('two.tsv', 'text;label')).rejects.toThrow(/looks semicolon-separated: name it \.csv\.$/)
    await expect(at('three.csv', '"text,label"')).rejects.toThrow(
      /looks comma-separated: read it as \.csv, and remove quotes around whole lines\.$/,
    )
  })

  it('says nothing of delimiters where the format has none', async () => {
    const rows = lines({ 'text,label': 'A fine day.' })
    for (const [name, content] of [
      ['split.jsonl', rows],
      ['split.json', `[${rows.trim()}]`],
    ])
      await expect(read(classes, file(name, content))).rejects.toThrow(
        /got the column "text,label"\. Set `settings\.text: "text,label"`\.$/,
      )
  })

  it('names the setting of any column', async () => {
    const rows = lines({ q: 'who?', context: 'a cat', answers: [] })
    await expect(read(answers, file('q.jsonl', rows))).rejects.toThrow(/Set `settings\.question: "q"`/)
  })
})

describe('columns that no setting reads', () => {
  it('are reported, ids and columns that are read aside', async () => {
    const rows = lines(
      { id: 1, text: 'a b', label: 'x', url: 'u', title: 't' },
      { text: 'c', label: 'y', url: 'v', title: 's' },
    )
    const { report } = await read(classes, file('more.jsonl', rows))
    expect(report.unreadColumns).toEqual(['url', 'title'])
    const known = await read(classes, file('known.jsonl', lines({ id: 1, text: 'a b', label: 'x' })))
    expect(known.report.unreadColumns).toBeUndefined()
    const sentences = await read(tags, file('more-tags.jsonl', lines({ tokens: ['a'], tags: ['O'], source: 'web' })))
    expect(sentences.report.unreadColumns).toEqual(['source'])
    const questions = await read(
      answers,
      file('more-q.jsonl', lines({ id: 'a', question: 'who?', context: 'a cat', answers: [], title: 'cats' })),
    )
    expect(questions.report.unreadColumns).toEqual(['title'])
  })

  it.each([
    [
      'a second text',
      classes,
      { sentence1: 'a', sentence2: 'b', label: 'x' },
      { text: 'sentence1' },
      /"sentence2" looks like the `pair`.* Set `settings\.pair: "sentence2"`.*`settings\.ignoreColumns: \["sentence2"\]`/,
    ],
    [
      'a hypothesis',
      numbers,
      { premise: 'a', hypothesis: 'b', label: 1 },
      { text: 'premise' },
      /Set `settings\.pair: "hypothesis"`/,
    ],
    [
      'a context of questions',
      classes,
      { question: 'a', context: 'b', label: 'x' },
      { text: 'question' },
      /Set `settings\.pair: "context"`/,
    ],
    [
      'a context of answers',
      'generative-qa',
      { question: 'a', context: 'b', answer: 'c' },
      {},
      /"context" looks like the `context`.* Set `settings\.context: "context"`/,
    ],
    [
      'weights',
      choices,
      { text: 'a', choices: ['b', 'c'], label: 0, sample_weight: '0.5' },
      {},
      /"sample_weight" looks like a weight.*`classWeights`.*`settings\.ignoreColumns: \["sample_weight"\]`/,
    ],
  ])(
    'stop the run where they look like %s, unless they are left out by name',
    async (name, type, row, settings, message) => {
      const path = file(`${name}.jsonl`, lines(row))
      await expect(read(type, path, settings)).rejects.toThrow(message)
      const ignoreColumns = [/sentence2|hypothesis|context|sample_weight/.exec(Object.keys(row).join(' '))![0]]
      expect((await read(type, path, { ...settings, ignoreColumns })).records).toHaveLength(1)
    },
  )

  it('do not stop the run where a setting reads them, or where they are no text', async () => {
    const rows = lines({ sentence1: 'a', sentence2: 'b', label: 'x' })
    const { records } = await read(classes, file('pairs.jsonl', rows), { text: 'sentence1', pair: 'sentence2' })
    expect(records).toMatchObject([{ text: 'a', pair: 'b' }])
    const other = lines({ text: 'a', text2: 7, weights: 'heavy', label: 'x' })
    expect((await read(classes, file('other.jsonl', other))).records).toHaveLength(1)
  })
})

describe('values that are nested 500,000 deep', () => {
  const deep = `${'['.repeat(500_000)}${']'.repeat(500_000)}`

  it.each([
    ['a row', deep, {}, /deep0?\.jsonl:1: Expected an object, got a deeply nested list/],
    [
      'a text',
      `{"text":${deep},"label":"x"}`,
      {},
      /\.jsonl:1: Expected text in column "text", got a deeply nested list/,
    ],
    [
      'a label',
      `{"text":"a","label":${deep}}`,
      {},
      /\.jsonl:1: Expected a label in column "label", got a deeply nested/,
    ],
    [
      'an id',
      `{"text":"a","label":"x","name":${deep}}`,
      { id: 'name' },
      /\.jsonl:1: Expected a text or a number in column/,
    ],
    ['an unclosed row', '['.repeat(500_000), {}, /\.jsonl:1: Expected JSON/],
  ])('are refused with file and line as %s', async (_, content, settings, message) => {
    await expect(read(classes, file('deep.jsonl', content), settings)).rejects.toThrow(message)
  })
})
