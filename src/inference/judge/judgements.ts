// What a judge is asked about two answers, what its words mean, and the file of its answers, a line for each: a run that was stopped goes on
// where it was, and no request is paid for twice.
import { appendFile, readFile } from 'node:fs/promises'
import { z } from 'zod'
import { ConfigError, DataError, sha256, writeFileAtomic } from '../../core/index.ts'
import { parseTemplate, runTemplate } from '../../tokenizers/index.ts'
import type { EndpointMessage } from './endpoint.ts'

/** The better answer by its place, or neither. */
export type Verdict = 'first' | 'second' | 'tie'

/** A question with the two answers in the order in which the judge sees them. */
interface Judged {
  question: string
  first: string
  second: string
  /** A reference answer, where the data has one and the judge may see it. */
  reference?: string
}

const task = `You compare two answers to a question. Choose the one that serves the person who asked better: it must be correct first, then complete, then clear. Neither the order of the answers nor their length counts.
Give your reasons in one or two sentences. Then end with one line that has only [[A]] if answer A is better, [[B]] if answer B is better, or [[tie]] if neither is.`

/** The usual prompt, a Jinja template. */
export const usualJudgePrompt = `Question:
{{ question }}

{% if reference %}
A correct answer, for comparison:
{{ reference }}

{% endif %}
Answer A:
{{ first }}

Answer B:
{{ second }}

Which answer is better?`

/**
 * Makes the messages for a pair of answers. @param template Jinja source with `question`, `first`, `second` and, if wanted, `reference`
 * @throws ConfigError for a template that cannot be parsed or does not show both answers
 */
export const judgePrompt = (template: string): ((judged: Judged) => EndpointMessage[]) => {
  const refuse = (fault: string): never => {
    throw new ConfigError(`Expected a Jinja template for \`prompt\`, ${fault}.`)
  }
  const program = (() => {
    try {
      return parseTemplate(template, { trims: true })
    } catch (error) {
      return refuse(`got one that cannot be parsed: ${(error as Error).message}`)
    }
  })()
  const textOf = (judged: Judged): string => {
    try {
      return runTemplate(program, { ...judged }).text
    } catch (error) {
      return refuse(`got one that fails: ${(error as Error).message}`)
    }
  }
  const probe = textOf({ question: '<question>', first: '<first>', second: '<second>' })
  for (const name of ['question', 'first', 'second'])
    if (!probe.includes(`<${name}>`)) refuse(`with {{ ${name} }}, got one without it`)
  return (judged) => [
    { role: 'system', content: task },
    { role: 'user', content: textOf(judged) },
  ]
}

/** The verdict in an answer of the judge: its last mark counts; undefined without one. [[C]] is MT-Bench's tie. */
export const verdictIn = (text: string): Verdict | undefined => {
  const mark = [...text.matchAll(/\[\[\s*(A|B|C|tie)\s*\]\]/gi)].at(-1)?.[1].toLowerCase()
  if (mark === undefined) return undefined
  return mark === 'a' ? 'first' : mark === 'b' ? 'second' : 'tie'
}

const line = z.object({
  /** Hash of the judge and of what it was asked. */
  key: z.string(),
  id: z.string(),
  /** Whether the answer in question was shown first. */
  shownFirst: z.boolean(),
  verdict: z.enum(['first', 'second', 'tie']).nullable(),
  text: z.string(),
  promptTokens: z.number(),
  completionTokens: z.number(),
})

/** What a judge said about a pair in one order. */
export interface Judgement extends z.output<typeof line> {
  verdict: Verdict | null
}

/** The key of a request: the same request to the same judge has the same one. */
export const judgementKey = (model: string, maxTokens: number, messages: readonly EndpointMessage[]): string =>
  sha256(JSON.stringify([model, maxTokens, messages]))

/** Judgements by their key, which `add` also writes to the file. */
export interface JudgementFile {
  readonly known: ReadonlyMap<string, Judgement>
  add(judgement: Judgement): Promise<void>
}

const readLines = async (path: string): Promise<Judgement[]> => {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return ''
    throw error
  })
  const lines = text.split('\n')
  return lines.flatMap((one, i) => {
    if (one === '') return []
    const parsed = (() => {
      try {
        return line.safeParse(JSON.parse(one)).data
      } catch {
        return undefined
      }
    })()
    if (parsed !== undefined) return [parsed]
    // A process that was killed leaves half of its last line.
    if (i === lines.length - 1) return []
    throw new DataError('Expected a line that `judge` wrote, got another. Choose another file for `out`.', path, i + 1)
  })
}

/** Opens the file of judgements; without a path they are kept in memory only. @throws DataError for a file of something else */
export const openJudgements = async (path: string | undefined): Promise<JudgementFile> => {
  const known = new Map<string, Judgement>()
  const text = (one: Judgement) => `${JSON.stringify(one)}\n`
  if (path !== undefined) {
    for (const one of await readLines(path)) known.set(one.key, one)
    await writeFileAtomic(path, [...known.values()].map(text).join(''))
  }
  let last = Promise.resolve()
  return {
    known,
    add(one) {
      known.set(one.key, one)
      if (path !== undefined) last = last.then(() => appendFile(path, text(one)))
      return last
    },
  }
}
