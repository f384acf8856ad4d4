// A page that was saved as one file: the answers of the server are in it, and nothing is asked of a server.
import type { ApiErrorBody, Curves, RunSamples, SharedFile } from '../src/serving/studio/types/api-types.ts'

const embedded = document.getElementById('shared')?.textContent

/** The content of the file; undefined for a page of a studio. */
export const sharedFile: SharedFile | undefined = embedded ? (JSON.parse(embedded) as SharedFile) : undefined

/** What is taken of a whole answer by the query of a path, by the end of the path. */
const narrow: Record<string, (answer: unknown, query: URLSearchParams) => unknown> = {
  '/curves': (answer, query) => {
    const { curves, ...rest } = answer as Curves
    const names = (query.get('names') ?? '').split(',')
    const from = Number(query.get('from') ?? Number.NEGATIVE_INFINITY)
    const to = Number(query.get('to') ?? Number.POSITIVE_INFINITY)
    const inRange = <T>(steps: readonly number[], values: readonly T[]) =>
      values.filter((_, i) => steps[i] >= from && steps[i] <= to)
    const cut = curves
      .filter(({ name }) => names.includes(name))
      .map(({ name, steps, min, max, last }) => ({
        name,
        steps: inRange(steps, steps),
        min: inRange(steps, min),
        max: inRange(steps, max),
        last: inRange(steps, last),
      }))
    return { ...rest, curves: cut }
  },
  '/samples': (answer, query) => {
    const { steps, samples } = answer as RunSamples
    const wanted = (query.get('steps') ?? '').split(',').filter(Boolean).map(Number)
    return { steps, samples: wanted.flatMap((step) => samples.find((sample) => sample.step === step) ?? []) }
  },
}

/** The answer that a path would have. @throws Error for one that was not saved */
export const sharedAnswer = (path: string): unknown => {
  const { answers = {} } = sharedFile ?? {}
  if (Object.hasOwn(answers, path)) {
    const answer = answers[path] as object | Partial<ApiErrorBody>
    if ('error' in answer && answer.error !== undefined) throw new Error(answer.error.message)
    return answer
  }
  const [plain, query = ''] = path.split('?')
  const end = plain.slice(plain.lastIndexOf('/'))
  if (Object.hasOwn(answers, plain) && Object.hasOwn(narrow, end))
    return narrow[end](answers[plain], new URLSearchParams(query))
  throw new Error('This file does not have it: open the run in the studio.')
}
