// `tunesmith specialists`: one base with many specialists in memory, queried by name with lines of JSON.
import { createInterface } from 'node:readline'
import { z } from 'zod'
import { ConfigError, DataError, formatBytes, parseJson, TunesmithError } from '../../core/index.ts'
import { textLines } from '../../files/index.ts'
import {
  openSpecialists,
  type QueryOptions,
  type SpecialistAnswer,
  type SpecialistQuery,
  type Specialists,
} from '../../runs/index.ts'
import { type CommandContext, defineCommand } from '../command.ts'
import { countField, textField, textsField } from '../parts/fields.ts'
import { modelFields } from '../parts/model-flags.ts'
import { namedFolders } from '../parts/server-flags.ts'

/** Queries of a file that are answered in one batch. */
const batchLines = 256

const parseQuestion = (line: string, file: string, number: number): SpecialistQuery => {
  const value = parseJson(line, { path: file, line: number })
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new DataError('Expected an object with the fields of a query, got something else.', file, number)
  const { id, specialist } = value as Record<string, unknown>
  if (specialist !== undefined && typeof specialist !== 'string')
    throw new DataError('Expected a name for `specialist`, got something else.', file, number)
  return { ...(value as SpecialistQuery), id: id === undefined ? String(number) : String(id) }
}

/** Answers the lines of a file in batches and in their order; a faulty line is answered with its error. */
const answerFile = async (
  specialists: Specialists,
  path: string,
  options: QueryOptions,
  answerWith: (answer: object) => void,
): Promise<void> => {
  let batch: SpecialistQuery[] = []
  const flush = async () => {
    for (const answer of await specialists.tryAll(batch, options)) answerWith(answer)
    batch = []
  }
  for await (const { text, number } of textLines(path)) {
    if (text.trim() === '') continue
    try {
      batch.push(parseQuestion(text, path, number))
    } catch (error) {
      if (!(error instanceof TunesmithError)) throw error
      await flush()
      answerWith({ id: String(number), error: error.message })
    }
    if (batch.length >= batchLines) await flush()
  }
  await flush()
}

/** Answers line by line until the input ends; a faulty line is answered with its error. */
const serveLines = async (
  specialists: Specialists,
  input: NodeJS.ReadableStream,
  signal: AbortSignal,
  answerWith: (answer: object) => void,
): Promise<void> => {
  const lines = createInterface({ input })
  const stop = () => lines.close()
  signal.addEventListener('abort', stop)
  let number = 0
  try {
    for await (const line of lines) {
      number++
      if (line.trim() === '') continue
      let id = String(number)
      try {
        const question = parseQuestion(line, 'stdin', number)
        id = question.id ?? id
        for (const answer of await specialists.tryAll([question], { signal })) answerWith(answer)
      } catch (error) {
        if (!(error instanceof TunesmithError)) throw error
        answerWith({ id, error: error.message })
      }
    }
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

const describeMemory = (
  specialists: Specialists,
  { base, specialists: parts }: ReturnType<Specialists['memory']>,
): string[] => [
  `base  ${formatBytes(base)}`,
  ...Object.entries(parts).map(([name, bytes]) => `${name}  +${formatBytes(bytes)}, ${specialists.taskOf(name)}`),
]

export const specialists = defineCommand({
  name: 'specialists',
  summary: 'Serve many specialists on one base in memory, each queried by name',
  example:
    'tunesmith specialists --base runs/bert --specialist stars=runs/stars --specialist topic=runs/topic --text "A quiet, lovely book."',
  notes: [
    'Lines of --input are objects: {"specialist": "stars", "text": "…"}, with the fields of its task (text; question and context; …).',
    'Without `specialist`, every specialist that takes the fields answers. With --input - each line is answered as it arrives.',
  ],
  options: z.strictObject({
    base: z.string().describe('base model: a folder, a run or a Hub id'),
    specialist: z
      .array(z.string())
      .min(1)
      .describe('NAME=FOLDER of an adapter, or of a run with an unchanged base; repeat for each')
      .meta({ commas: false }),
    text: textsField('text to send to all specialists').meta({ commas: false }),
    input: textField('file of JSON lines; - reads standard input'),
    batchTokens: countField('tokens per batch, padding included'),
    device: modelFields.device,
  }),
  async run({ base, specialist, text, input, batchTokens, device }, _args, context) {
    if (input === undefined && text.length === 0)
      throw new ConfigError('`specialists` needs queries: set `--text` or `--input`.')
    const choices = namedFolders(specialist, '--specialist')
    const opened = await openSpecialists(base, choices, { device, onNote: (line) => context.warn(line) })
    const memory = opened.memory()
    for (const line of describeMemory(opened, memory)) context.log(line)
    const answers: object[] = []
    const answerWith = collectAnswers(context, answers)
    const asking = { batchTokens, signal: context.signal }
    try {
      if (text.length > 0) {
        const questions = text.map((one, i) => ({ id: String(i + 1), text: one }))
        for (const answer of await opened.queryAll(questions, asking)) answerWith(answer)
      }
      if (input === '-') await serveLines(opened, process.stdin, context.signal, answerWith)
      else if (input !== undefined) await answerFile(opened, input, asking, answerWith)
    } finally {
      await opened.close()
    }
    return { base, memory, answers: answers as SpecialistAnswer[] }
  },
})

/** With `--json`, answers are part of the one document; otherwise each is printed as a line when it is ready. */
const collectAnswers =
  (context: Pick<CommandContext, 'json' | 'write'>, answers: object[]) =>
  (answer: object): void => {
    if (context.json) answers.push(answer)
    else context.write(`${JSON.stringify(answer)}\n`)
  }
