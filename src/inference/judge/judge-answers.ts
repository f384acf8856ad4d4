// `judge` as a function: which of two sets of answers a language model behind a server prefers, in both orders.
// @source Zheng et al. 2023, arXiv:2306.05685 (judges with swapped positions); Dubois et al. 2024, arXiv:2404.04475 (length control)
import { ConfigError, invariant, optionCheck } from '../../core/index.ts'
import {
  type BootstrapOptions,
  bootstrapRatio,
  findTask,
  type Interval,
  type ReadReport,
  readPredictions,
  type TaskRecord,
  taskConfig,
} from '../../tasks/index.ts'
import { askEndpoint, type EndpointOptions } from './endpoint.ts'
import { type Judgement, judgementKey, judgePrompt, openJudgements, usualJudgePrompt, verdictIn } from './judgements.ts'
import { lengthControlled } from './length-control.ts'

/** Which answers are compared, and by whom. */
export interface JudgeInput
  extends Pick<EndpointOptions, 'endpoint' | 'model' | 'token'>,
    Partial<Pick<EndpointOptions, 'maxTokens' | 'timeoutSeconds' | 'attempts'>>,
    BootstrapOptions {
  /** A task whose answers are text: `instructions`, `generative-qa` or `summarization`. */
  task: string
  /** File or folder with the questions. */
  references: string
  /** The answers, in the forms that `score` reads. */
  predictions: string
  /** What they are compared with: other answers, or the references of the data (default). */
  against?: string
  dataset?: string
  settings?: Record<string, unknown>
  /** Jinja template of the question to the judge, with `question`, `first`, `second` and `reference`. */
  prompt?: string
  /** Whether the judge sees the reference answer. */
  showReference?: boolean
  /** Judges only the first questions. */
  limit?: number
  /** Requests at the same time (default: 4). */
  concurrency?: number
  /** File of the judge's answers, to read, and to go on after a stop. */
  out?: string
}

const expectInput = optionCheck<JudgeInput>('judgeAnswers', {
  endpoint: true,
  model: true,
  token: true,
  maxTokens: true,
  timeoutSeconds: true,
  attempts: true,
  seed: true,
  resamples: true,
  confidence: true,
  task: true,
  references: true,
  predictions: true,
  against: true,
  dataset: true,
  settings: true,
  prompt: true,
  showReference: true,
  limit: true,
  concurrency: true,
  out: true,
})

/** Called while answers are judged. */
export interface JudgeHooks {
  onProgress?(done: { requests: number; of: number }): void
  signal?: AbortSignal | undefined
}

/** What the judge prefers. Shares are of the questions that it judged in both orders, and of those with equal answers. */
export interface JudgeResult {
  model: string
  questions: number
  /** Records that could not be used, by reason. */
  skipped: ReadReport['skipped']
  /** Equal answers, which are ties that nobody was asked about. */
  identical: number
  /** Questions without a verdict in one of the orders, which are in no share, and the first of them. */
  withoutVerdict: { count: number; first?: string }
  /** Share of wins over the other answers; a tie, or two verdicts that contradict each other, is half of one. */
  winRate: Interval
  /** The same if both answers were equally long. */
  lengthControlled: Interval
  wins: number
  losses: number
  ties: number
  /** Share of questions with the same verdict in both orders. */
  consistent: Interval
  /** Share of verdicts, ties left out, for the answer shown first: half without a preference for a place. */
  forFirst: Interval
  /** Mean characters of an answer. */
  characters: { predictions: number; against: number }
  /** Requests that this call made; others were in `out`. */
  requests: number
  /** Tokens of all judgements as the server counted them. */
  tokens: { prompt: number; completion: number }
}

interface Pair {
  id: string
  question: string
  answer: string
  other: string
  reference?: string
}

/** From 0 to 1, how much the verdict is for the answer. */
const preferenceOf = ({ verdict, shownFirst }: Judgement): number =>
  verdict === 'tie' ? 0.5 : (verdict === 'first') === shownFirst ? 1 : 0

const readPairs = async (
  { task: name, references, predictions: path, against, dataset, settings, limit, showReference }: JudgeInput,
  signal: AbortSignal | undefined,
): Promise<{ pairs: Pair[]; skipped: ReadReport['skipped'] }> => {
  const task = findTask(name)
  const { question } = task
  if (question === undefined)
    throw new ConfigError(
      `Expected a task whose answers are text for \`task\`, such as instructions, got ${name}: its predictions have official metrics. Use \`score\`.`,
    )
  const config = taskConfig(task, settings, dataset)
  const { records, report } = await task.read(references, config, { signal })
  const answersIn = async (file: string): Promise<string[]> =>
    (await readPredictions(file, task, records, config)).map((prediction, i) => {
      const answer = 'answer' in prediction ? prediction.answer : undefined
      if (typeof answer === 'string') return answer
      throw new ConfigError(`Expected an answer to "${records[i].id}" in ${file}, got none. Generate it first.`)
    })
  const referenceOf = (record: TaskRecord): string | undefined =>
    'references' in record ? (record.references as readonly string[])[0] : undefined
  const answers = await answersIn(path)
  const others =
    against !== undefined
      ? await answersIn(against)
      : records.map((record) => {
          const found = referenceOf(record)
          if (found !== undefined) return found
          throw new ConfigError(
            `Expected a reference answer to "${record.id}" in ${references}, got none. Set \`against\`.`,
          )
        })
  if (showReference && against === undefined)
    throw new ConfigError(
      'Expected `against` with `showReference`, got none: the references are the other answers. Set one of them only.',
    )
  const pairs = records.slice(0, limit).map((record, i): Pair => {
    const reference = showReference ? referenceOf(record) : undefined
    return {
      id: record.id,
      question: question(record, config),
      answer: answers[i],
      other: others[i],
      ...(reference === undefined ? {} : { reference }),
    }
  })
  return { pairs, skipped: report.skipped }
}

/** Runs the work on the items, some at a time; the first failure stops the others. */
const eachOf = async <Item>(
  items: readonly Item[],
  concurrency: number,
  signal: AbortSignal | undefined,
  work: (item: Item, signal: AbortSignal) => Promise<void>,
): Promise<void> => {
  const stop = new AbortController()
  const either = AbortSignal.any([stop.signal, ...(signal === undefined ? [] : [signal])])
  const left = items.values()
  const worker = async () => {
    for (const item of left) await work(item, either)
  }
  const workers = Array.from({ length: concurrency }, () =>
    worker().catch((error: unknown) => {
      stop.abort(error)
      throw error
    }),
  )
  await Promise.allSettled(workers)
  await Promise.all(workers)
}

/**
 * Asks a language model behind a server with OpenAI's API which of two answers to each question is better, twice, with the answers in
 * both orders.
 * @throws ConfigError for a task without written answers, DataError for files that do not fit and for a server that refuses
 */
export const judgeAnswers = async (
  input: JudgeInput,
  { onProgress, signal }: JudgeHooks = {},
): Promise<JudgeResult> => {
  expectInput(input)
  const { model, concurrency = 4, out, prompt = usualJudgePrompt, seed, resamples, confidence } = input
  const { maxTokens = 256, timeoutSeconds = 120, attempts = 4 } = input
  const intervals = { seed, resamples, confidence }
  const messagesOf = judgePrompt(prompt)
  const { pairs, skipped } = await readPairs(input, signal)
  const judgements = await openJudgements(out)
  const asked = pairs.flatMap((pair) =>
    pair.answer === pair.other
      ? []
      : [true, false].map((shownFirst) => {
          const { id, question, answer, other, reference } = pair
          const [first, second] = shownFirst ? [answer, other] : [other, answer]
          const messages = messagesOf({ question, first, second, ...(reference === undefined ? {} : { reference }) })
          return { id, shownFirst, messages, key: judgementKey(model, maxTokens, messages) }
        }),
  )
  const missing = asked.filter(({ key }) => !judgements.known.has(key))
  let requests = 0
  await eachOf(missing, concurrency, signal, async ({ id, shownFirst, messages, key }, either) => {
    const { text, ...tokens } = await askEndpoint({ ...input, maxTokens, timeoutSeconds, attempts }, messages, either)
    await judgements.add({ key, id, shownFirst, verdict: verdictIn(text) ?? null, text, ...tokens })
    requests++
    onProgress?.({ requests, of: missing.length })
  })
  const said = new Map<string, Judgement[]>()
  for (const { id, key } of asked) {
    const judgement = judgements.known.get(key)
    invariant(judgement !== undefined, 'every pair was judged.')
    said.set(id, [...(said.get(id) ?? []), judgement])
  }
  const without = pairs.filter(({ id }) => said.get(id)?.some(({ verdict }) => verdict === null))
  const used = pairs.filter((pair) => !without.includes(pair))
  if (used.length === 0)
    throw new ConfigError(
      `Expected a verdict such as [[A]] at the end of the answers of ${model}, got none in ${without.length} questions${out === undefined ? '' : ` (see ${out})`}. Choose a stronger judge, raise \`maxTokens\`, or change \`prompt\`.`,
    )
  const judged = used.flatMap(({ id }) => said.get(id) ?? [])
  const preferences = used.map(({ id, answer, other }) => {
    const both = said.get(id)?.map(preferenceOf) ?? [0.5, 0.5]
    return { preference: (both[0] + both[1]) / 2, longerBy: answer.length - other.length }
  })
  const both = used.flatMap(({ id }) => {
    const of = said.get(id)
    return of === undefined ? [] : [preferenceOf(of[0]) === preferenceOf(of[1]) ? 1 : 0]
  })
  const decided = judged.filter(({ verdict }) => verdict !== 'tie')
  const share = (values: readonly number[]) =>
    bootstrapRatio(
      values,
      values.map(() => 1),
      intervals,
    )
  const mean = (texts: readonly string[]) => texts.reduce((sum, { length }) => sum + length, 0) / texts.length
  const all = [...said.values()].flat()
  return {
    model,
    questions: pairs.length,
    skipped,
    identical: pairs.length - said.size,
    withoutVerdict: { count: without.length, ...(without.length > 0 ? { first: without[0].id } : {}) },
    winRate: share(preferences.map(({ preference }) => preference)),
    lengthControlled: lengthControlled(preferences, intervals),
    wins: preferences.filter(({ preference }) => preference > 0.5).length,
    losses: preferences.filter(({ preference }) => preference < 0.5).length,
    ties: preferences.filter(({ preference }) => preference === 0.5).length,
    consistent: share(both),
    forFirst: share(decided.map(({ verdict }) => (verdict === 'first' ? 1 : 0))),
    characters: {
      predictions: mean(pairs.map(({ answer }) => answer)),
      against: mean(pairs.map(({ other }) => other)),
    },
    requests,
    tokens: {
      prompt: all.reduce((sum, { promptTokens }) => sum + promptTokens, 0),
      completion: all.reduce((sum, { completionTokens }) => sum + completionTokens, 0),
    },
  }
}
