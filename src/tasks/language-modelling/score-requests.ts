// Log-probabilities of continuations after contexts, both given as text: encoding, truncation and batches. Requests with one
// context share its forward pass. Independent of what the texts are.
// @source lm-eval 0.4.13, `_encode_pair` and `_loglikelihood_tokens`

import { setImmediate } from 'node:timers/promises'
import { ConfigError, DataError } from '../../core/index.ts'
import { computeByTurns } from '../../distributed/index.ts'
import { contextLength, continuesText, type Model } from '../../models/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import { trimmedEnd } from '../metrics/white-space.ts'
import type { WorkHooks } from '../task.ts'
import { type PromptContinuations, scoreContinuations } from './continuations.ts'

/** A text whose log-probability after a context is wanted, and where it comes from. */
export interface ContinuationRequest {
  context: string
  continuation: string
  file: string
  line: number | undefined
}

export interface ContinuationScore {
  /** In nats, summed over its tokens. */
  logProbability: number
  tokens: number
  /** Whether greedy decoding would give it. */
  greedy: boolean
}

/** Progress and cancellation. */
export interface RequestHooks extends WorkHooks {
  /** Called with the number of records that are done. */
  onProgress?(records: number): void
}

/** @throws ConfigError for a model that cannot continue text */
export const expectCausal = (model: Model, what: string): void => {
  if (continuesText(model)) return
  throw new ConfigError(
    `Expected a causal language model to ${what}, got ${model.definition.type} with the head ${model.headType}. Use the task multiple-choice for other models.`,
  )
}

/** Tokens of context that a model takes. @throws ConfigError for more than the model has positions */
export const requestLength = (model: Model, tokenizer: Tokenizer, given: number | undefined): number => {
  const most = model.facts.maxPositions
  if (given !== undefined && most !== undefined && given > most)
    throw new ConfigError(
      `Expected at most ${most} for \`maxLength\`, the positions of the model, got ${given}. Lower it.`,
    )
  return given ?? contextLength(model) ?? tokenizer.maxLength ?? 2048
}

/** Context and continuation as tokens, split where the context ends; white space between them belongs to the continuation. */
const encodePair = (
  tokenizer: Tokenizer,
  context: string,
  continuation: string,
): { prompt: number[]; ids: number[] } => {
  const before = trimmedEnd(context)
  const text = context.slice(before.length) + continuation
  if (before === '') {
    const start = tokenizer.special.bos ?? tokenizer.special.eos
    if (start === undefined)
      throw new ConfigError('An empty prompt needs a start or end token: use a tokenizer with one, or set `prompt`.')
    return { prompt: [start.id], ids: Array.from(tokenizer.encode(text, { addSpecialTokens: false }).ids) }
  }
  const alone = Array.from(tokenizer.encode(before).ids)
  return { prompt: alone, ids: Array.from(tokenizer.encode(before + text).ids).slice(alone.length) }
}

interface Group extends PromptContinuations {
  record: number
  requests: number[]
}

/** The requests of a record grouped by context; long contexts are truncated differently for each continuation. */
const groupsOf = (
  tokenizer: Tokenizer,
  requests: readonly ContinuationRequest[],
  record: number,
  maxLength: number,
): { groups: Group[]; truncated: boolean } => {
  const groups: (Group & { prompt: number[]; continuations: number[][] })[] = []
  let truncated = false
  requests.forEach(({ context, continuation, file, line }, i) => {
    const pair = encodePair(tokenizer, context, continuation)
    if (pair.ids.length === 0 || pair.ids.length > maxLength)
      throw new DataError(
        `Expected choices of 1 to ${maxLength} tokens, got ${pair.ids.length} for choice ${i}.`,
        file,
        line,
      )
    // The last token of the continuation is no input of the model.
    const excess = Math.max(0, pair.prompt.length + pair.ids.length - (maxLength + 1))
    truncated ||= excess > 0
    const prompt = pair.prompt.slice(excess)
    const same = groups.find(
      (group) => group.prompt.length === prompt.length && prompt.every((id, k) => id === group.prompt[k]),
    )
    if (same === undefined) groups.push({ record, prompt, continuations: [pair.ids], requests: [i] })
    else {
      same.continuations.push(pair.ids)
      same.requests.push(i)
    }
  })
  return { groups, truncated }
}

/** Shape of a batch of groups, padding included. */
const shapeOf = (groups: readonly PromptContinuations[]): { rows: number; length: number } => {
  const continuations = groups.flatMap((group) => group.continuations)
  const prompt = Math.max(...groups.map((group) => group.prompt.length))
  return { rows: continuations.length, length: prompt + Math.max(...continuations.map(({ length }) => length)) - 1 }
}

/** Batches of groups within the token limit and the model's positions. */
function* batchesOf(
  groups: readonly Group[],
  batchTokens: number,
  maxPositions = Number.POSITIVE_INFINITY,
): Generator<readonly Group[]> {
  for (let from = 0, to = 0; from < groups.length; from = to) {
    for (to = from + 1; to < groups.length; to++) {
      const { rows, length } = shapeOf(groups.slice(from, to + 1))
      if (rows * length > batchTokens || length > maxPositions) break
    }
    yield groups.slice(from, to)
  }
}

/**
 * Scores the requests of each record.
 * @param settings.maxLength maximum tokens of context; longer ones are truncated at the beginning (default: the context length of the model)
 * @returns scores in the order of the requests of each record, and how many records have a truncated context
 * @throws ConfigError for a model that is not causal, DataError for a continuation without tokens
 */
export const scoreRequests = async (
  model: Model,
  tokenizer: Tokenizer,
  records: readonly (readonly ContinuationRequest[])[],
  settings: { maxLength?: number; batchTokens: number },
  { onProgress, signal, group }: RequestHooks = {},
): Promise<{ scores: ContinuationScore[][]; truncated: number }> => {
  expectCausal(model, 'rank choices')
  const { batchTokens } = settings
  const maxLength = requestLength(model, tokenizer, settings.maxLength)
  const scores = records.map((requests) =>
    requests.map((): ContinuationScore => ({ logProbability: 0, tokens: 0, greedy: false })),
  )
  const groups: Group[] = []
  let truncated = 0
  for (const [i, requests] of records.entries()) {
    if (i % 64 === 0) await setImmediate()
    signal?.throwIfAborted()
    const made = groupsOf(tokenizer, requests, i, maxLength)
    groups.push(...made.groups)
    truncated += Number(made.truncated)
  }
  groups.sort((a, b) => b.prompt.length - a.prompt.length)
  const wasTraining = model.training
  model.eval()
  const compute = async (batch: readonly Group[]) => {
    await setImmediate()
    signal?.throwIfAborted()
    return scoreContinuations(model, batch)
  }
  const batches = batchesOf(groups, batchTokens, model.facts.maxPositions)
  let done = 0
  try {
    for await (const [batch, all] of computeByTurns(group, batches, compute)) {
      all.forEach((found, k) => {
        const { record, requests, continuations } = batch[k]
        requests.forEach((request, c) => {
          const tokens = continuations[c].length
          const { logProbability, correct } = found[c]
          scores[record][request] = { logProbability, tokens, greedy: correct === tokens }
        })
      })
      done += batch.length
      onProgress?.(Math.floor((done / groups.length) * records.length))
    }
  } finally {
    if (wasTraining) model.train()
  }
  return { scores, truncated }
}
