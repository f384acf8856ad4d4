// `/v1/completions`: the continuation of prompts, given as text or token ids, or the text of a gap before `suffix`, whole or as events.
import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import { adaptersOf } from '../../adapters/index.ts'
import { ConfigError } from '../../core/index.ts'
import { promptLogProbs, type RankedToken, type ScoredToken } from '../../generation/index.ts'
import type { Model } from '../../models/index.ts'
import { type GapPrompt, gapPrompt, specialTokenFrame, type Tokenizer } from '../../tokenizers/index.ts'
import { readArrivals } from '../arrivals.ts'
import { badRequest, endedEarly } from '../http/errors.ts'
import { untilAborted } from '../models/batcher.ts'
import type { ServedModel } from '../models/served-models.ts'
import {
  type FinishedText,
  type GeneratedToken,
  newTokensOf,
  readText,
  samplingFields,
  schedulerOf,
  startTexts,
  type TextRun,
  textSettings,
  usageOf,
} from '../texts/text-run.ts'
import { expectTokenIds, textList, tokenIds, tokenText, tokenTexts } from '../texts/token-text.ts'
import { type Call, defineEndpoint, modelName } from './endpoint.ts'

const maxPrompts = 128

const body = z.strictObject({
  model: modelName,
  prompt: z
    .union([z.string(), z.array(z.string()).min(1).max(maxPrompts), tokenIds, z.array(tokenIds).min(1).max(maxPrompts)])
    .describe('text, token ids, or a list of either'),
  max_tokens: z.int().min(0).nullish().describe('maximum number of new tokens (default: 16)'),
  suffix: z
    .string()
    .nullish()
    .describe(
      'text after a gap: the text between `prompt` and it is generated, by a model with fill-in-the-middle tokens',
    ),
  echo: z.boolean().nullish().describe('return the prompt with the text'),
  logprobs: z.int().min(0).max(20).nullish().describe('log-probabilities, and this number of the most likely tokens'),
  best_of: z.int().positive().nullish().describe('accepted where it equals `n`'),
  ...samplingFields,
})

type Body = z.output<typeof body>

interface Prompt {
  ids: number[]
  /** As the request has it; undefined for token ids. */
  text?: string
  /** Tokens that end a text beside the model's own: those of a gap. */
  ends: readonly number[]
  /** Log-probabilities of the tokens after the first one, where they are echoed. */
  scored: ScoredToken[]
}

const encodePrompt = (tokenizer: Tokenizer, text: string): number[] => {
  const encoded = Array.from(tokenizer.encode(text).ids)
  const start = tokenizer.special.bos ?? tokenizer.special.eos
  if (encoded.length > 0) return encoded
  if (start !== undefined) return [start.id]
  throw badRequest('Expected at least one token for `prompt`, got none.', 'prompt')
}

/** @throws ApiError for a model without the tokens of fill-in-the-middle */
const gapOf = (tokenizer: Tokenizer, prefix: string, suffix: string): GapPrompt => {
  try {
    return gapPrompt(tokenizer, prefix, suffix)
  } catch (error) {
    if (error instanceof ConfigError) throw badRequest(error.message, 'suffix', 'unsupported_parameter')
    throw error
  }
}

const promptsOf = (call: Call<Body>, model: ServedModel): Omit<Prompt, 'scored'>[] => {
  const { prompt, suffix } = call.body
  return textList(prompt).map((one, i) => {
    if (typeof one === 'string') {
      call.service.expectLength(one.length, model, 'prompt')
      if (!suffix) return { ids: encodePrompt(model.tokenizer, one), text: one, ends: [] }
      call.service.expectLength(suffix.length, model, 'suffix')
      return { ...gapOf(model.tokenizer, one, suffix), text: one }
    }
    if (suffix)
      throw badRequest(
        'Expected text for `prompt` with `suffix`, got token ids. Send the text before the gap.',
        'prompt',
      )
    expectTokenIds(model, one, 'prompt', i)
    return { ids: [...one], ends: [] }
  })
}

/** OpenAI's log-probabilities of a completion: as JSON it has the public fields. */
class LogProbs {
  readonly tokens: string[] = []
  readonly token_logprobs: (number | null)[] = []
  readonly top_logprobs: (Record<string, number> | null)[] = []
  readonly text_offset: number[] = []
  readonly #tokenizer: Tokenizer

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer
  }

  /** @param offset characters before the token */
  add(token: RankedToken, alternatives: readonly RankedToken[] | null, offset: number): void {
    this.tokens.push(tokenText(this.#tokenizer, token.id))
    this.text_offset.push(offset)
    this.token_logprobs.push(alternatives === null ? null : Math.max(token.logProb, -9999))
    this.top_logprobs.push(
      alternatives === null
        ? null
        : Object.fromEntries(
            [token, ...alternatives].map((one) => [tokenText(this.#tokenizer, one.id), Math.max(one.logProb, -9999)]),
          ),
    )
  }
}

/** What each token of a prompt adds to its text: nothing for tokens that the tokenizer puts around a text. */
const promptTexts = (tokenizer: Tokenizer, { ids, text }: Prompt): string[] => {
  if (text === undefined) return tokenTexts(tokenizer, ids)
  if (text === '') return ids.map(() => '')
  const [before, after] = specialTokenFrame(tokenizer, false).parts.map((part) => Array.from(part, () => ''))
  return [...before, ...tokenTexts(tokenizer, ids.slice(before.length, ids.length - after.length)), ...after]
}

/** The tokens of a prompt with their log-probabilities. */
const promptEntries = (tokenizer: Tokenizer, prompt: Prompt): { logProbs: LogProbs; text: string } => {
  const logProbs = new LogProbs(tokenizer)
  const { ids: tokens, scored } = prompt
  let shown = ''
  for (const [i, added] of promptTexts(tokenizer, prompt).entries()) {
    const found = i === 0 ? undefined : scored[i - 1]
    // A tokenizer that normalises texts may write one longer than it was.
    const offset = Math.min(shown.length, prompt.text?.length ?? shown.length)
    logProbs.add(found ?? { id: tokens[i], logProb: 0 }, found?.alternatives ?? null, offset)
    shown += added
  }
  return { logProbs, text: prompt.text ?? shown }
}

const addNew = (logProbs: LogProbs, tokenizer: Tokenizer, tokens: readonly GeneratedToken[], offset: number): void => {
  let at = offset
  for (const [i, added] of tokenTexts(
    tokenizer,
    tokens.map((token) => token.id),
  ).entries()) {
    logProbs.add(tokens[i], tokens[i].alternatives, at)
    at += added.length
  }
}

/** Prompts with their texts, for `n` texts each. */
interface Started {
  prompt: Prompt
  runs: TextRun[]
}

const checkFields = ({ body: given }: Call<Body>): void => {
  if (given.best_of != null && given.best_of !== (given.n ?? 1))
    throw badRequest('`best_of` is not supported: leave it out, or set it to `n`.', 'best_of', 'unsupported_parameter')
  if (given.max_tokens === 0 && given.echo !== true)
    throw badRequest('`max_tokens` of 0 needs `echo`: set it to true, or ask for more tokens.', 'max_tokens')
  if (given.suffix && given.echo === true)
    throw badRequest('`echo` has no effect on a gap: leave out one of `echo` and `suffix`.', 'echo')
  if (given.stream === true && given.echo === true && given.max_tokens === 0)
    throw badRequest('A stream needs new tokens: set `max_tokens` above 0.', 'stream')
}

/** @throws ApiError where the time of the request ends before all prompts are scored */
const scorePrompts = async (
  { signal, timedOut }: Call<Body>,
  { engine, adapter }: ServedModel,
  prompts: readonly Omit<Prompt, 'scored'>[],
  top: number,
): Promise<ScoredToken[][]> => {
  const { model } = engine.loaded
  const run = <Result>(compute: (active: Model) => Result): Result =>
    adapter === undefined ? compute(model) : adaptersOf(model).using(adapter, compute)
  const options = { top, signal, run, turn: readArrivals, partTokens: engine.prefillTokens }
  const scored: ScoredToken[][] = []
  try {
    for (const { ids } of prompts)
      scored.push(
        await untilAborted(
          engine.inTurn(() => promptLogProbs(model, ids, options)),
          signal,
        ),
      )
  } catch (error) {
    if (signal.aborted) throw endedEarly(timedOut(), 'Send fewer or shorter prompts.')
    throw error
  }
  return scored
}

const start = async (call: Call<Body>, model: ServedModel): Promise<Started[]> => {
  const { body: given, service, signal } = call
  checkFields(call)
  schedulerOf(model)
  const n = given.n ?? 1
  const prompts = promptsOf(call, model)
  service.admit(n * prompts.length)
  const requested = given.max_tokens ?? 16
  const counts = prompts.map(({ ids }) => newTokensOf(service, model, ids.length, requested, 'prompt'))
  const echoed = given.echo === true && given.logprobs != null
  const scored = echoed ? await scorePrompts(call, model, prompts, given.logprobs ?? 0) : prompts.map(() => [])
  return prompts.map((prompt, i) => {
    const settings = textSettings(model, given, Math.max(1, counts[i]), { ids: prompt.ends, stop: [] })
    const topLogProbs = given.logprobs ?? undefined
    const runs = requested === 0 ? [] : startTexts({ model, prompt: prompt.ids, n, ...settings, topLogProbs, signal })
    return { prompt: { ...prompt, scored: scored[i] }, runs }
  })
}

/** A prompt without new tokens. */
const unchanged = ({ ids: tokens }: Prompt): FinishedText => ({
  text: '',
  ids: [],
  tokens: [],
  reason: 'length',
  promptTokens: tokens.length,
  cachedTokens: 0,
})

const choiceOf = (given: Body, model: ServedModel, prompt: Prompt, finished: FinishedText, index: number) => {
  const { tokenizer } = model
  const echoed =
    given.echo === true ? promptEntries(tokenizer, prompt) : { logProbs: new LogProbs(tokenizer), text: '' }
  addNew(echoed.logProbs, tokenizer, finished.tokens, echoed.text.length)
  return {
    index,
    text: echoed.text + finished.text,
    logprobs: given.logprobs == null ? null : echoed.logProbs,
    finish_reason: finished.reason,
  }
}

/** Sends one text as events. */
const streamChoice = async (
  call: Call<Body>,
  { prompt, run, index }: { prompt: Prompt; run: TextRun; index: number },
  send: (choice: object) => void,
): Promise<FinishedText> => {
  const { echo, logprobs } = call.body
  const { tokenizer } = run.model
  const wanted = logprobs != null
  let offset = 0
  if (echo === true) {
    const echoed = promptEntries(tokenizer, prompt)
    offset = echoed.text.length
    send({ index, text: echoed.text, logprobs: wanted ? echoed.logProbs : null, finish_reason: null })
  }
  let tokens: GeneratedToken[] = []
  const finished = await readText(
    call.service,
    run,
    call.timedOut,
    ({ text, id: token, logProb, alternatives = [] }) => {
      if (token !== undefined && logProb !== undefined) tokens.push({ id: token, logProb, alternatives })
      if (text === '' && tokens.length === 0) return
      const entries = new LogProbs(tokenizer)
      addNew(entries, tokenizer, tokens, offset)
      tokens = []
      offset += text.length
      send({ index, text, logprobs: wanted ? entries : null, finish_reason: null })
    },
  )
  send({ index, text: '', logprobs: null, finish_reason: finished.reason })
  return finished
}

export const completions = defineEndpoint({
  method: 'post',
  path: '/v1/completions',
  summary: 'The continuation of prompts, or the text between a prompt and a suffix',
  body,
  async answer(call) {
    const { body: given, service } = call
    const model = call.model(given.model)
    const started = await start(call, model)
    const n = given.n ?? 1
    const head = {
      id: `cmpl-${randomUUID()}`,
      object: 'text_completion',
      created: Math.floor(Date.now() / 1000),
      model: model.name,
    }
    if (given.stream !== true) {
      const texts = await Promise.all(
        started.map(({ prompt, runs }) =>
          runs.length === 0
            ? Array.from({ length: n }, () => unchanged(prompt))
            : Promise.all(runs.map((run) => readText(service, run, call.timedOut))),
        ),
      )
      const choices = texts.flatMap((group, p) =>
        group.map((text, i) => choiceOf(given, model, started[p].prompt, text, p * n + i)),
      )
      return Response.json({ ...head, choices, usage: usageOf(call, model, texts) })
    }
    const withUsage = given.stream_options?.include_usage === true
    return call.stream(async (send) => {
      const sendChoice = (choice: object) => send({ ...head, choices: [choice], ...(withUsage ? { usage: null } : {}) })
      const texts = await Promise.all(
        started.map(({ prompt, runs }, p) =>
          Promise.all(runs.map((run, i) => streamChoice(call, { prompt, run, index: p * n + i }, sendChoice))),
        ),
      )
      const usage = usageOf(call, model, texts)
      if (withUsage) send({ ...head, choices: [], usage })
    })
  },
})
