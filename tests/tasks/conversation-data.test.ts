// Readers of what models write about: hand-made files of every form, broken input with file and line, and the known data sets whole.
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { deflateRawSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { zipFiles } from '../../src/files/index.ts'
import { fillPrompt } from '../../src/tasks/generative/prompts.ts'
import { type GenerativeRecord, type TaskDefinition, type TaskType, taskConfig, tasks } from '../../src/tasks/index.ts'

const data = '../shared/data'
let root: string
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'tunesmith-conversations-'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

const file = (name: string, content: string | Buffer) => {
  const path = join(root, name)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, content)
  return path
}
const lines = (...rows: unknown[]) => rows.map((row) => JSON.stringify(row)).join('\n')

type Read = GenerativeRecord & { turns?: { role: string; content: string }[]; source?: string; question?: string }
const read = async (type: TaskType, path: string, settings: { [name: string]: unknown } = {}, dataset?: string) => {
  const task = tasks[type] as unknown as TaskDefinition
  const { records, report } = await task.read(path, taskConfig(task, settings, dataset))
  return { records: records as Read[], skipped: report.skipped }
}

describe('records of instructions', () => {
  it('come in columns, instances, messages and trees, which are recognised', async () => {
    const path = file(
      'forms.jsonl',
      lines(
        { instruction: 'Add.', input: '1 2', output: '3' },
        { instruction: 'Say hi.', input: '', response: 'hi' },
        {
          instruction: 'Double.',
          instances: [
            { input: '1', output: '2' },
            { input: '2', output: '4' },
          ],
        },
        {
          messages: [
            { role: 'system', content: 'S' },
            { role: 'user', content: 'q' },
            { role: 'assistant', content: 'a' },
          ],
        },
        {
          system: 'S',
          conversations: [
            { from: 'human', value: 'q' },
            { from: 'gpt', value: 'a' },
          ],
        },
        {
          prompt: {
            role: 'prompter',
            text: 'q',
            replies: [
              { role: 'assistant', text: 'worse', rank: 1, replies: [] },
              { role: 'assistant', text: 'gone', rank: 0, deleted: true, replies: [] },
              {
                role: 'assistant',
                text: 'better',
                rank: 0,
                replies: [
                  { role: 'prompter', text: 'and?', replies: [] },
                  { role: 'prompter', text: 'why?', replies: [{ role: 'assistant', text: 'so', replies: [] }] },
                  { role: 'prompter', text: 'when?', replies: [] },
                ],
              },
            ],
          },
        },
      ),
    )
    const best = await read('instructions', path)
    expect(
      best.records.map(({ id, turns, references }) => [id, turns!.map(({ content }) => content), references]),
    ).toEqual([
      ['0', ['Add.\n\n1 2'], ['3']],
      ['1', ['Say hi.'], ['hi']],
      ['2.0', ['Double.\n\n1'], ['2']],
      ['2.1', ['Double.\n\n2'], ['4']],
      ['3', ['S', 'q'], ['a']],
      ['4', ['S', 'q'], ['a']],
      ['5', ['q'], ['better']],
    ])
    expect(best.records[6].line).toBe(6)
    // To each end; answers behind which only questions come end there, once.
    const all = await read('instructions', path, { paths: 'all' })
    expect(all.records.slice(6).map(({ turns, references }) => [turns!.length, references[0]])).toEqual([
      [1, 'better'],
      [3, 'so'],
      [1, 'worse'],
    ])
  })

  const broken: [string, unknown, RegExp][] = [
    ['no answer', { messages: [{ role: 'user', content: 'q' }] }, /turn of the assistant/],
    ['an unknown side', { messages: [{ role: 'narrator', content: 'q' }] }, /"narrator"/],
    [
      'sides out of order',
      { messages: [{ role: 'assistant', content: 'a' }] },
      /no turn of the assistant after the beginning/,
    ],
    ['an empty answer', { instruction: 'q', output: ' ' }, /empty one/],
    ['an answer that is no text', { instruction: 'q', output: 7 }, /text for the answer, got 7/],
    ['no instances', { instruction: 'q', instances: [] }, /instances/],
    ['a message that is no object', { messages: ['hi'] }, /role/],
    [
      'none of the forms',
      { question: 'q' },
      /Set `settings\.instruction` and `settings\.output` to the columns of your data\.$/,
    ],
  ]
  it.each(broken)('with %s are refused with the line, or skipped and counted', async (_, row, message) => {
    const path = file('broken.jsonl', lines({ instruction: 'q', output: 'a' }, row))
    await expect(read('instructions', path)).rejects.toThrow(message)
    await expect(read('instructions', path)).rejects.toThrow(/broken\.jsonl:2: /)
    const { records, skipped } = await read('instructions', path, { onFault: 'skip' })
    expect(records.length).toBe(1)
    expect(Object.values(skipped).map(({ count }) => count)).toEqual([1])
  })
})

describe('messages as people have them', () => {
  const call = { id: 'c1', type: 'function', function: { name: 'add', arguments: { a: 1, b: [2] } } }
  const answered = (given: object) => [
    { role: 'user', content: 'q' },
    { role: 'assistant', ...given },
  ]

  it('have tools, calls, results, reasoning, parts and weights, in the fields of each source', async () => {
    const tool = { name: 'add', description: 'Adds', parameters: { type: 'object' } }
    const path = file(
      'chats.jsonl',
      lines(
        {
          tools: [{ type: 'function', function: tool }],
          messages: [
            { role: 'developer', content: 'S', weight: 0 },
            {
              role: 'user',
              content: [
                { type: 'text', text: 'q' },
                { type: 'input_text', text: '?' },
              ],
            },
            {
              role: 'assistant',
              content: null,
              tool_calls: [{ ...call, function: { name: 'add', arguments: '{"a": 1, "b": [2]}' } }],
              reasoning: 'hm',
            },
            { role: 'tool', tool_call_id: 'c1', name: 'add', content: '3' },
            { role: 'assistant', content: 'a', weight: 0.5, tool_calls: null },
            { role: 'user', content: 'bye' },
            { role: 'assistant', content: 'b', train: false },
          ],
        },
        {
          tools: JSON.stringify([tool]),
          conversations: [
            { from: 'human', value: 'q' },
            { from: 'function_call', value: '{"name": "add", "arguments": {"a": 1, "b": [2]}}' },
            { from: 'observation', value: '3' },
            { from: 'gpt', value: 'a' },
          ],
        },
        { messages: answered({ function_call: { name: 'add', arguments: '' }, thinking: 'hm' }) },
      ),
    )
    const { records } = await read('instructions', path)
    expect(records[0]).toMatchObject({
      tools: [{ type: 'function', function: tool }],
      turns: [
        { role: 'system', content: 'S' },
        { role: 'user', content: 'q?' },
        { role: 'assistant', content: '', tool_calls: [call], reasoning_content: 'hm' },
        { role: 'tool', content: '3', name: 'add', tool_call_id: 'c1' },
      ],
      references: ['a'],
      answer: { role: 'assistant', content: 'a', weight: 0.5 },
    })
    const { id: _, ...anonymous } = call
    expect(records[1]).toMatchObject({
      tools: [{ type: 'function', function: tool }],
      turns: [{ content: 'q' }, { tool_calls: [anonymous] }, { role: 'tool', content: '3' }],
      references: ['a'],
    })
    expect(records[1]).not.toHaveProperty('answer')
    expect(records[2]).toMatchObject({
      references: ['{"name":"add","arguments":{}}'],
      answer: { tool_calls: [{ type: 'function', function: { name: 'add', arguments: {} } }], reasoning_content: 'hm' },
    })
    const tagged = await read('instructions', path, { reasoning: 'tags' })
    expect(tagged.records[0].turns![2].content).toBe('<think>\nhm\n</think>\n\n')
    const dropped = await read('instructions', path, { reasoning: 'drop' })
    expect(dropped.records[0].turns![2]).not.toHaveProperty('reasoning_content')
  })

  const image = { type: 'image_url', image_url: { url: 'x.png' } }
  const broken: [string, object, RegExp][] = [
    [
      'an image',
      { messages: [{ role: 'user', content: [image] }, ...answered({ content: 'a' })] },
      /got "image_url" in/,
    ],
    ['a column of images', { images: ['x.png'], messages: answered({ content: 'a' }) }, /got "images" in a column/],
    [
      'arguments that are no object',
      { messages: answered({ tool_calls: [{ function: { name: 'f', arguments: '[1' } }] }) },
      /arguments of the call of "f"/,
    ],
    ['a call without a name', { messages: answered({ tool_calls: [{ id: 'c' }] }) }, /name of a function/],
    ['calls that are no list', { messages: answered({ tool_calls: 'add' }) }, /list of calls/],
    ['tools that are no list', { tools: '{', messages: answered({ content: 'a' }) }, /list of tools/],
    ['weights of zero only', { messages: answered({ content: 'a', weight: 0 }) }, /weight above 0/],
    ['a weight of a question', { messages: [{ role: 'user', content: 'q', weight: 1 }] }, /only answers are trained/],
    ['a negative weight', { messages: answered({ content: 'a', weight: -1 }) }, /at least 0/],
    ['weights that disagree', { messages: answered({ content: 'a', weight: 1, train: false }) }, /agree/],
    ['no text and no call', { messages: answered({ content: '', tool_calls: [] }) }, /empty one/],
  ]
  it.each(broken)('with %s are refused with file and line', async (_, row, message) => {
    const path = file('refused.jsonl', lines({ instruction: 'q', output: 'a' }, row))
    await expect(read('instructions', path)).rejects.toThrow(message)
    await expect(read('instructions', path)).rejects.toThrow(/refused\.jsonl:2: /)
  })
})

/** A zip archive of stored or deflated files, by hand. */
const zipOf = (files: Record<string, string>): Buffer => {
  const parts: Buffer[] = []
  const directory: Buffer[] = []
  let at = 0
  Object.entries(files).forEach(([name, content], i) => {
    const raw = Buffer.from(content)
    const packed = i % 2 === 0 ? deflateRawSync(raw) : raw
    const local = Buffer.alloc(30)
    local.writeUInt32LE(0x04034b50, 0)
    local.writeUInt16LE(Buffer.byteLength(name), 26)
    const entry = Buffer.alloc(46)
    entry.writeUInt32LE(0x02014b50, 0)
    entry.writeUInt16LE(i % 2 === 0 ? 8 : 0, 10)
    entry.writeUInt32LE(packed.length, 20)
    entry.writeUInt32LE(raw.length, 24)
    entry.writeUInt16LE(Buffer.byteLength(name), 28)
    entry.writeUInt32LE(at, 42)
    parts.push(local, Buffer.from(name), packed)
    directory.push(entry, Buffer.from(name))
    at += 30 + Buffer.byteLength(name) + packed.length
  })
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(Object.keys(files).length, 10)
  end.writeUInt32LE(at, 16)
  return Buffer.concat([...parts, ...directory, end])
}

describe('records of summaries', () => {
  it('come from rows with one summary or several, and from lists of sentences', async () => {
    const path = file(
      'rows.jsonl',
      lines({ text: ['One.', 'Two.'], summary: ['a', 'b'] }, { text: 'Three.', summary: ' c ' }),
    )
    const { records } = await read('summarization', path)
    expect(records.map(({ source, references }) => [source, references])).toEqual([
      ['One. Two.', ['a', 'b']],
      ['Three.', ['c']],
    ])
    const wrong = file('wrong.jsonl', lines({ text: 'One.', summary: 'a' }, { text: 'Two.', summary: '' }))
    await expect(read('summarization', wrong)).rejects.toThrow(/wrong\.jsonl:2: .*summary/)
    await expect(read('summarization', path, { text: 'txt' })).rejects.toThrow(/text/)
  })

  const topics = {
    'topics/a.txt.data': 'first one \n\n second one\n',
    'topics/b.txt.data': 'third',
    'summaries-gold/a/a.1.gold': 'one',
    'summaries-gold/a/a.2.gold': 'two',
    'summaries-gold/b/b.1.gold': 'three',
  }
  it('come from the topics of Opinosis, zipped or in a folder', async () => {
    for (const [name, content] of Object.entries(topics)) file(join('opinosis', name), content)
    const zip = file('opinosis.zip', zipOf(topics))
    const expected = [
      ['a', 'first one\nsecond one', ['one', 'two']],
      ['b', 'third', ['three']],
    ]
    for (const path of [zip, join(root, 'opinosis')]) {
      const { records } = await read('summarization', path, {}, 'opinosis')
      expect(records.map(({ id, source, references }) => [id, source, references])).toEqual(expected)
    }
    const { 'summaries-gold/b/b.1.gold': _, ...fewer } = topics
    const lacking = file('lacking.zip', zipOf(fewer))
    await expect(read('summarization', lacking, {}, 'opinosis')).rejects.toThrow(
      /topics\/b\.txt\.data: .*summaries-gold\/b/,
    )
  })

  it('come from meetings, one for each query', async () => {
    const turns = ['zero', 'one', 'two'].map((content, i) => ({ speaker: `S${i}`, content }))
    const meeting = {
      meeting_transcripts: turns,
      general_query_list: [{ query: 'All?', answer: 'Everything.' }],
      specific_query_list: [{ query: 'Some?', answer: 'A part.', relevant_text_span: [['1', '2']] }],
    }
    const path = file('meetings.jsonl', lines(meeting))
    const { records } = await read('summarization', path, {}, 'qmsum')
    expect(records.map((record) => [record.id, record.source, record.references])).toEqual([
      ['0.0', 'S0: zero\nS1: one\nS2: two', ['Everything.']],
      ['0.1', 'S1: one\nS2: two', ['A part.']],
    ])
    const none = file('none.jsonl', lines({ ...meeting, general_query_list: [], specific_query_list: [] }))
    await expect(read('summarization', none, {}, 'qmsum')).rejects.toThrow(/none\.jsonl:1: .*queries/)
  })
})

describe('zip archives', () => {
  const whole = zipOf({ 'a.txt': 'hello hello hello', 'b/c.txt': 'there' })
  const names = (bytes: Buffer) => [...zipFiles(bytes, 'x.zip')].map(({ name, data: found }) => `${name}:${found}`)
  it('are read', () => expect(names(whole)).toEqual(['a.txt:hello hello hello', 'b/c.txt:there']))
  it('that are truncated or changed at any byte are refused with a message', () => {
    for (let length = 0; length < whole.length; length += 3)
      expect(() => names(Buffer.from(whole.subarray(0, length)))).toThrow(/^x\.zip: Expected/)
    for (let at = 0; at < whole.length; at++) {
      const changed = Buffer.from(whole)
      changed[at] ^= 0xff
      try {
        names(changed)
      } catch (error) {
        expect((error as Error).message).toMatch(/^x\.zip: Expected/)
      }
    }
  })
})

describe('records of generative question answering', () => {
  it("come from MedQuAD's XML, with paragraphs and entities", async () => {
    const path = file(
      'medquad/0.xml',
      `<?xml version="1.0"?>\n<Document>\n<QAPairs>\n<QAPair pid="1"><Question qid="q1">What is &lt;it&gt;?</Question>\n<Answer>One\n  line.\n\n   Another &amp; more.</Answer></QAPair>\n<QAPair><Question qid="q2">And?</Question><Answer></Answer></QAPair>\n<QAPair><Question>So?</Question><Answer/></QAPair></QAPairs></Document>`,
    )
    const { records, skipped } = await read('generative-qa', dirname(path), {}, 'medquad')
    expect(records).toMatchObject([
      { id: '0-1', line: 4, question: 'What is <it>?', references: ['One line.\n\nAnother & more.'] },
    ])
    expect(skipped['no-answer'].count).toBe(2)
    file('torn/0.xml', '<Document>\n<QAPair><Question>q</Question>\n</Document>')
    await expect(read('generative-qa', join(root, 'torn'), {}, 'medquad')).rejects.toThrow(/0\.xml:\d: .*<\/QAPair>/)
    file('hollow/0.xml', '<Document></Document>')
    await expect(read('generative-qa', join(root, 'hollow'), {}, 'medquad')).rejects.toThrow(/1 no-pairs/)
  })

  it('may have numbers as answers, and a context', async () => {
    const path = file(
      'numbers.json',
      JSON.stringify([{ Body: 'There are 2.', Question: 'How many?', Answer: 2.0, ID: 'a' }]),
    )
    const { records } = await read('generative-qa', path, {}, 'svamp')
    expect(records).toMatchObject([{ id: 'a', question: 'How many?', context: 'There are 2.', references: ['2'] }])
    const wrong = file('wrong.json', JSON.stringify([{ Body: 'b', Question: 'q', Answer: null, ID: 'a' }]))
    await expect(read('generative-qa', wrong, {}, 'svamp')).rejects.toThrow(/wrong\.json:1: .*Answer/)
  })
})

it('prompts are made from patterns, whatever braces the texts have', () => {
  const { turns, source } = fillPrompt('Sum {text} for {query}.', { text: '{query}', query: 'x{text}' }, 'text')
  expect(turns).toEqual([{ role: 'user', content: 'Sum {query} for x{text}.' }])
  expect(turns[0].content.slice(...source!)).toBe('{query}')
  expect(() => fillPrompt('Sum this.', { text: 'a' }, 'text')).toThrow(/\{text\}/)
})

describe.skipIf(!existsSync(data))('known data sets, read to their end (needs ../shared/data)', () => {
  const whole: [TaskType, string, string, number, string?][] = [
    ['summarization', 'scitldr', 'scitldr/SciTLDR-A/train.jsonl.gz', 1992],
    ['summarization', 'dialogsum', 'dialogsum/dialogsum.dev.jsonl', 500],
    ['summarization', 'mts-dialog', 'mts-dialog/MTS-Dialog-TrainingSet.csv.gz', 1201],
    ['summarization', 'opinosis', 'opinosis/OpinosisDataset1.0_0.zip', 51],
    ['summarization', 'legal-summarization', 'legal-summarization/all_v1.json.gz', 446],
    ['summarization', 'qmsum', 'qmsum/ALL/jsonl/val.jsonl.gz', 272],
    ['instructions', 'alpaca', 'alpaca-gpt4-sample/alpaca_en_demo.json.gz', 999],
    ['instructions', 'gpteacher', 'gpteacher/codegen-instruct.json.gz', 4535],
    ['instructions', 'gpteacher', 'gpteacher/roleplay-simple-deduped-roleplay-instruct.json.gz', 1923],
    ['instructions', 'self-instruct', 'self-instruct/seed_tasks.jsonl', 175],
    ['instructions', 'oasst-trees', 'oasst-trees/en_100_tree.jsonl.gz', 100],
    ['instructions', 'ultrachat', 'kto-sample/kto_en_demo.json.gz', 300],
    ['generative-qa', 'medquad', 'medquad/MedQuAD-subset.tar.gz', 3731, 'no-pairs'],
    ['generative-qa', 'pubmedqa', 'pubmedqa/ori_pqal.cv.json.gz', 500],
    ['generative-qa', 'gsm8k', 'gsm8k/train.jsonl.gz', 7473],
    ['generative-qa', 'svamp', 'svamp/SVAMP.json', 1000],
  ]
  it.each(whole)('%s %s: %s', async (type, dataset, path, count, lacking) => {
    const { records, skipped } = await read(type, join(data, path), {}, dataset)
    expect(records.length).toBe(count)
    expect(Object.keys(skipped)).toEqual(lacking === undefined ? [] : [lacking])
    expect(new Set(records.map(({ id }) => id)).size).toBe(count)
    for (const { references } of records) expect(references[0].trim()).not.toBe('')
  })
})
