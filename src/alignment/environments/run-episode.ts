// One episode: the model and an environment take turns. The tokens of the model are kept as it wrote them and are never encoded again; the turns
// between are encoded as the chat template writes them, as a continuation. A mask says which tokens are the model's.
import { ConfigError, createRandom, DataError, invariant, show } from '../../core/index.ts'
import type { FinishReason, GenerationScheduler } from '../../generation/index.ts'
import { type CompletionEncoder, type PromptRecord, type Turn, turnsOf } from '../../tasks/index.ts'
import { encodeNextTurns, type Tokenizer } from '../../tokenizers/index.ts'
import { limitedCall } from '../rewards/call-reward.ts'
import type { RewardSample } from '../rewards/index.ts'
import { type Environment, EnvironmentError, type EnvironmentStep, type EpisodeSettings } from './environment.ts'

/** A turn that the model wrote. */
export interface GeneratedTurn {
  /** Token ids, the end token included where the model wrote it. */
  ids: ArrayLike<number>
  /** Log-probabilities of the tokens as they were sampled. */
  logProbs?: ArrayLike<number>
  finishReason: FinishReason
}

/** Writes a turn after these token ids. */
export type TurnGenerator = (
  ids: readonly number[],
  options: { maxNewTokens: number; turn: number; signal: AbortSignal },
) => Promise<GeneratedTurn>

/** What an episode needs. */
export interface EpisodeOptions extends EpisodeSettings {
  tokenizer: Tokenizer
  /** Encodes the prompt, and says which template and which end tokens turns have. */
  encoder: Pick<CompletionEncoder, 'prompt' | 'template' | 'endTokens'>
  generate: TurnGenerator
  /** Maximum tokens of a turn of the model. */
  maxNewTokens: number
  /** Maximum tokens of the prompt and the episode together, which the model takes (default: no limit). */
  contextTokens?: number
  signal?: AbortSignal | undefined
}

/**
 * How an episode ended: the environment was `done`; it was cut at the maximum of `turns` or `tokens`; the model's last turn was `truncated`;
 * or the environment `failed`.
 */
export type EpisodeEnd = 'done' | 'turns' | 'tokens' | 'truncated' | 'failed'

/** An episode. Lists of tokens have one entry per token of `ids`. */
export interface Episode {
  /** Turns of the prompt: those of the record, or those that the environment began with. */
  prompt: readonly Turn[]
  promptIds: readonly number[]
  /** Tokens after the prompt; the last ones are the model's. */
  ids: Uint32Array
  /** 1 for tokens that the model wrote, 0 for those of the environment and of the template. */
  mask: Uint8Array
  /** 0 for tokens that the model did not write; undefined where the generator gave none. */
  logProbs: Float32Array | undefined
  /** Turns after the prompt. */
  messages: readonly Turn[]
  /** Text of the model's last turn. */
  completion: string
  /** Sum of the environment's rewards; null where it gave none, or failed. */
  reward: number | null
  /** Turns of the model. */
  turns: number
  end: EpisodeEnd
  /** `eos` if the environment was done, `length` for an episode that was cut. */
  finishReason: FinishReason
  /** What failed in the environment. */
  failure?: string
}

class EpisodeTokens {
  readonly ids: number[] = []
  readonly #mask: number[] = []
  readonly #logProbs: number[] = []
  #known = true

  addTurn({ ids, logProbs }: GeneratedTurn): void {
    for (let i = 0; i < ids.length; i++) {
      this.ids.push(ids[i])
      this.#mask.push(1)
      this.#logProbs.push(logProbs?.[i] ?? 0)
    }
    if (logProbs === undefined) this.#known = false
  }

  addOther(ids: readonly number[]): void {
    for (const id of ids) {
      this.ids.push(id)
      this.#mask.push(0)
      this.#logProbs.push(0)
    }
  }

  get lists(): Pick<Episode, 'ids' | 'mask' | 'logProbs'> {
    return {
      ids: Uint32Array.from(this.ids),
      mask: Uint8Array.from(this.#mask),
      logProbs: this.#known ? Float32Array.from(this.#logProbs) : undefined,
    }
  }
}

const roles: ReadonlySet<string> = new Set(['user', 'tool', 'system'])

/** The result of `step`, checked. @throws EnvironmentError for anything else */
const checkStep = (name: string, result: unknown): EnvironmentStep => {
  const refuse = (what: string, got: unknown): never => {
    throw new EnvironmentError(
      `Expected ${what} from the environment \`${name}\`, got ${show(got)}. Return { messages, reward, done } from \`step\`.`,
    )
  }
  if (typeof result !== 'object' || result === null) return refuse('an object', result)
  const { messages = [], reward, done } = result as Partial<EnvironmentStep>
  if (typeof done !== 'boolean') return refuse('true or false for `done`', done)
  if (reward !== undefined && !(typeof reward === 'number' && Number.isFinite(reward)))
    return refuse('a finite number for `reward`', reward)
  if (!Array.isArray(messages)) return refuse('a list of turns for `messages`', messages)
  const turns: readonly Turn[] = messages
  const wrong = turns.find((turn) => typeof turn?.content !== 'string' || !roles.has(turn.role))
  if (wrong !== undefined) return refuse('turns with text and the role user or tool', wrong)
  if (!done && turns.length === 0) return refuse('turns that the model can answer, or `done`', messages)
  return { messages: turns, reward, done }
}

/** Calls the environment. @throws EnvironmentError, or the signal's reason when it is aborted */
const ask = async <Result>(
  { name }: Environment,
  work: (signal: AbortSignal) => Result | Promise<Result>,
  seconds: number,
  signal: AbortSignal,
): Promise<Result> => {
  try {
    return await limitedCall(work, {
      seconds,
      signal,
      tooLate: () =>
        new EnvironmentError(
          `Expected an answer of the environment \`${name}\` within ${seconds} s, got none. Raise \`timeoutSeconds\`, or make its steps faster.`,
        ),
    })
  } catch (error) {
    if (signal.aborted || error instanceof EnvironmentError) throw error
    const message = error instanceof Error ? `${error.name}: ${error.message}` : show(error)
    throw new EnvironmentError(`The environment \`${name}\` threw ${message.split('\n')[0]}`)
  }
}

/** Without the end token, which the template writes. */
const textOf = (tokenizer: Tokenizer, { ids }: GeneratedTurn, ends: readonly number[]): string => {
  const all = Array.from(ids)
  return tokenizer.decode(ends.includes(all.at(-1) ?? -1) ? all.slice(0, -1) : all)
}

const never = new AbortController().signal

/**
 * Runs an episode. Undefined for a prompt that the encoder drops.
 * @throws EnvironmentError for an environment whose failures stop the run, the signal's reason when it is aborted
 */
export const runEpisode = async (
  environment: Environment,
  record: PromptRecord,
  options: EpisodeOptions,
): Promise<Episode | undefined> => {
  const { tokenizer, encoder, generate, maxTurns, maxNewTokens, timeoutSeconds, onFailure } = options
  const {
    maxTokens: limit = Number.POSITIVE_INFINITY,
    contextTokens = Number.POSITIVE_INFINITY,
    signal = never,
  } = options
  if (maxNewTokens < 1) throw new ConfigError(`Expected at least 1 for \`maxNewTokens\`, got ${maxNewTokens}.`)
  const start = await ask(
    environment,
    (own) => environment.start?.(record, { signal: own }) ?? {},
    timeoutSeconds,
    signal,
  )
  const prompt = start.messages ?? turnsOf(record.prompt, 'user')
  const promptIds = encoder.prompt(prompt, record)
  if (promptIds === undefined) return undefined
  const maxTokens = Math.min(limit, contextTokens - promptIds.length)
  if (maxTokens < 1)
    throw new DataError(
      `Expected a prompt of fewer than ${contextTokens} tokens, the limit of the model, got ${promptIds.length} from the environment \`${environment.name}\`. Shorten what it begins with, or set \`tooLong\` to truncate.`,
      record.file,
      record.line,
    )
  const ends = encoder.endTokens(prompt)
  const tokens = new EpisodeTokens()
  const messages: Turn[] = []
  let [turns, completion] = [0, '']
  let reward: number | null = null
  const finish = (end: EpisodeEnd, failure?: string): Episode => ({
    prompt,
    promptIds,
    ...tokens.lists,
    messages,
    completion,
    reward: end === 'failed' ? null : reward,
    turns,
    end,
    finishReason: end === 'done' ? 'eos' : 'length',
    ...(failure === undefined ? {} : { failure }),
  })
  for (;;) {
    const room = maxTokens - tokens.ids.length
    const turn = await generate([...promptIds, ...tokens.ids], {
      maxNewTokens: Math.min(maxNewTokens, room),
      turn: turns,
      signal,
    })
    signal.throwIfAborted()
    tokens.addTurn(turn)
    turns++
    completion = textOf(tokenizer, turn, ends)
    messages.push({ role: 'assistant', content: completion })
    if (turn.finishReason === 'length') return finish(turn.ids.length >= room ? 'tokens' : 'truncated')
    let step: EnvironmentStep
    try {
      const all = [...prompt, ...messages]
      const call = (own: AbortSignal) => environment.step(all, { record, state: start.state, signal: own })
      step = checkStep(environment.name, await ask(environment, call, timeoutSeconds, signal))
    } catch (error) {
      if (!(error instanceof EnvironmentError) || onFailure === 'stop') throw error
      return finish('failed', error.message)
    }
    if (step.reward !== undefined) reward = (reward ?? 0) + step.reward
    if (step.done) return finish('done')
    if (turns >= maxTurns) return finish('turns')
    messages.push(...step.messages)
    const all = [...prompt, ...messages].map(({ role, content }) => ({ role, content }))
    const next = encodeNextTurns(tokenizer, all, {
      template: encoder.template,
      after: prompt.length + messages.length - step.messages.length - 1,
      ended: ends.includes(tokens.ids.at(-1) ?? -1),
    })
    if (next.length === 0)
      throw new DataError('Expected tokens of the turns between two answers, got none. Check the chat template.')
    if (tokens.ids.length + next.length >= maxTokens) {
      messages.splice(messages.length - step.messages.length)
      return finish('tokens')
    }
    tokens.addOther(next)
    invariant(messages.at(-1)?.role !== 'assistant', 'an environment writes no turn of the assistant.')
  }
}

/** An episode as rewards see it: its last turn is the answer, and the turns before it are in `episode`. */
export const sampleOfEpisode = (record: PromptRecord, episode: Episode): RewardSample => {
  const { prompt, promptIds, ids, completion, finishReason, messages, reward, end } = episode
  return {
    prompt,
    completion,
    promptIds,
    completionIds: ids,
    record,
    finishReason,
    episode: { messages, reward, failed: end === 'failed' },
  }
}

type MeasuredEpisode = Pick<Episode, 'ids' | 'mask' | 'turns' | 'end'>

/** Means over episodes, for monitoring: turns, shares of ends, and the share of tokens that the model did not write. */
export const measureEpisodes = (episodes: readonly MeasuredEpisode[]): Record<string, number> => {
  const share = (end: EpisodeEnd) => episodes.filter((episode) => episode.end === end).length / episodes.length
  const total = episodes.reduce((sum, { ids }) => sum + ids.length, 0)
  const own = episodes.reduce((sum, { mask }) => sum + mask.reduce((count, bit) => count + bit, 0), 0)
  return {
    turns: episodes.reduce((sum, { turns }) => sum + turns, 0) / episodes.length,
    episodesDone: share('done'),
    episodesCut: share('turns') + share('tokens') + share('truncated'),
    episodesOutOfTurns: share('turns'),
    episodesOutOfTokens: share('tokens'),
    episodesFailed: share('failed'),
    environmentTokens: total === 0 ? 0 : 1 - own / total,
  }
}

/** How turns are sampled. */
export interface ScheduledTurnOptions {
  /** Seed of the episode: another one for each episode of a group. */
  seed: number | string
  endTokens: readonly number[]
  /** Divides the logits (default: 1); `greedy` takes the most likely tokens. */
  temperature?: number | 'greedy'
}

/** Writes the turns of one episode with the model of a scheduler, with the log-probabilities that each token was sampled with. */
export const scheduledTurns =
  (scheduler: GenerationScheduler, { seed, endTokens, temperature = 1 }: ScheduledTurnOptions): TurnGenerator =>
  async (ids, { maxNewTokens, turn, signal }) => {
    const sampling =
      temperature === 'greedy'
        ? {}
        : { sample: true, temperature, seed: createRandom(`${seed}/turn/${turn}`).integer(2 ** 31) }
    const { result } = scheduler.submit({
      prompt: [...ids],
      options: { maxNewTokens, eosTokenIds: [...endTokens], ...sampling },
      logProbs: 'model',
      signal,
    })
    const { ids: own, finishReason, logProbs } = await result
    return { ids: own, finishReason, ...(logProbs === undefined ? {} : { logProbs }) }
  }
