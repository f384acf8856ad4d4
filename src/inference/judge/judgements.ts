// The file of a judge's answers, a line for each: a run that was stopped goes on where it was, and no request is paid for twice.
import { appendFile, readFile } from 'node:fs/promises'
import { z } from 'zod'
import { DataError, sha256, writeFileAtomic } from '../../core/index.ts'
import type { EndpointMessage } from './endpoint.ts'
import type { Verdict } from './judgement-prompt.ts'

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
