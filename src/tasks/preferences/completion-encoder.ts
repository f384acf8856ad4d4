// Prompts and completions as token ids. They are encoded separately and concatenated, so that the boundary is where generation has it;
// what the model generates is never encoded again. Raw text gets the tokenizer's start and end tokens, turns get those of the chat
// template.
import { ConfigError, DataError, invariant } from '../../core/index.ts'
import type { BodyFacts, HeadOptions } from '../../models/index.ts'
import {
  applyChatTemplate,
  createTextEncoder,
  type EncodedText,
  encodeChatAnswer,
  encodeContinuation,
  fitTemplate,
  specialTokenFrame,
  type Tokenizer,
} from '../../tokenizers/index.ts'
import { answerEndTokens, templateNotes } from '../generative/answer-ends.ts'
import { type FittedPrompt, fitTurns, keepEnd } from '../generative/prompts.ts'
import { messageOf, type Turn } from '../generative/turns.ts'
import { FaultCounter, type Place, type Skipped } from '../records/row.ts'
import type { TaskExample } from '../task.ts'
import { contentOf, type PromptText } from './texts.ts'

/** A prompt and its completion in one sequence: prompt ids, then completion ids with their end token. */
export interface CompletionExample extends TaskExample {
  /** Tokens of the prompt, fewer than `ids` has; 0 only for an empty text and a tokenizer without a start token. */
  promptTokens: number
}

/** Settings of `createCompletionEncoder`. */
export interface CompletionEncoderOptions {
  /** Jinja source or the name of a preset, for turns (default: the tokenizer's template, else `plain`). */
  template?: string
  /** System prompt of conversations without one. */
  system?: string
  /** Maximum tokens of a prompt with its completion. */
  maxLength: number
  /** Maximum tokens of a prompt (default: `maxLength`). */
  maxPromptLength?: number
  /**
   * What is too long: `truncate` removes the oldest turns or tokens of prompts, and the end of completions; `drop` counts it
   * and leaves it out; `error` throws a DataError. A prompt that leaves no token for its completion is never truncated further.
   */
  tooLong: 'truncate' | 'drop' | 'error'
}

/** Prompts and completions as token ids; made by `createCompletionEncoder`. */
export interface CompletionEncoder {
  /**
   * A prompt with its completion; undefined where it is dropped, which `skipped` counts.
   * @throws DataError for what is too long, with `tooLong` error
   */
  completion(prompt: PromptText, completion: PromptText, place?: Place): CompletionExample | undefined
  /** The ids of a prompt for generation; undefined where it is dropped. @throws DataError as `completion` */
  prompt(prompt: PromptText, place?: Place): number[] | undefined
  /** Tokens that end a completion of this prompt. */
  endTokens(prompt: PromptText): readonly number[]
  /** What was dropped, by reason: `prompt-too-long`, `completion-too-long`, `no-room-for-completion`. */
  readonly skipped: { readonly [reason: string]: Skipped }
  /** Prompts and completions that were truncated. */
  readonly truncated: { readonly prompts: number; readonly completions: number }
  /** The chat template of turns, which is saved with the model. */
  readonly template: string
  /** Remarks about the template with this tokenizer, in sentences; empty until turns were encoded. */
  readonly notes: readonly string[]
}

const input: Place = { file: 'input', line: undefined }

/** Binds prompts and completions to a tokenizer. @throws ConfigError for a tokenizer without an end token, or limits that do not fit */
export const createCompletionEncoder = (
  tokenizer: Tokenizer,
  { template: given, system, maxLength, maxPromptLength = maxLength, tooLong }: CompletionEncoderOptions,
): CompletionEncoder => {
  if (maxPromptLength < 1 || maxPromptLength > maxLength)
    throw new ConfigError(
      `Expected 1 to ${maxLength} for \`maxPromptLength\`, at most \`maxLength\`, got ${maxPromptLength}. Lower it, or raise \`maxLength\`.`,
    )
  const template = fitTemplate(tokenizer, given ?? tokenizer.chatTemplate ?? 'plain')
  const raw = rawTextEncoder(tokenizer)
  const dropped = new FaultCounter('skip')
  const truncated = { prompts: 0, completions: 0 }
  const turns = turnFacts(tokenizer, template, given !== undefined)

  const refuse = (reason: string, message: string, place: Place): undefined => {
    if (tooLong === 'error') throw new DataError(message, place.file, place.line)
    dropped.fault({ reason, message }, place)
  }
  const withSystem = (conversation: readonly Turn[]): readonly Turn[] =>
    system === undefined || conversation[0]?.role === 'system'
      ? conversation
      : [{ role: 'system', content: system }, ...conversation]
  const promptOf = (conversation: readonly Turn[]) =>
    applyChatTemplate(tokenizer, conversation.map(messageOf), { template, addGenerationPrompt: true }).ids

  const fitting = (prompt: PromptText): FittedPrompt => {
    if (typeof prompt === 'string') return keepEnd(raw.prompt(prompt), maxPromptLength, tokenizer)
    turns.ends()
    return fitTurns(withSystem(prompt), maxPromptLength, tokenizer, promptOf)
  }
  // The answers of a group have the same prompt, which is encoded once.
  let last: { prompt: PromptText; fitted: FittedPrompt } | undefined
  const fittedPrompt = (prompt: PromptText, place: Place): FittedPrompt | undefined => {
    if (last?.prompt !== prompt) {
      const fitted = fitting(prompt)
      if (fitted.truncatedTokens > 0 && tooLong === 'truncate') truncated.prompts++
      last = { prompt, fitted }
    }
    const { ids, truncatedTokens } = last.fitted
    if (truncatedTokens === 0 || tooLong === 'truncate') return last.fitted
    return refuse(
      'prompt-too-long',
      `Expected a prompt of at most ${maxPromptLength} tokens, got ${ids.length + truncatedTokens}. Raise \`maxPromptLength\`, or set \`tooLong\` to truncate or drop.`,
      place,
    )
  }
  const completionIds = (prompt: PromptText, completion: PromptText, place: Place): number[] => {
    if (typeof prompt === 'string' && typeof completion === 'string') return raw.completion(completion)
    if (typeof prompt === 'string' || typeof completion === 'string')
      throw new DataError('Expected a prompt and a completion of one kind, got text and turns.', place.file, place.line)
    const answer = answerOf(completion, place)
    turns.ends()
    return encodeChatAnswer(tokenizer, withSystem(prompt).map(messageOf), messageOf(answer), { template }).ids
  }

  return {
    template,
    truncated,
    get skipped() {
      return dropped.skipped
    },
    get notes() {
      return turns.notes
    },
    endTokens: (prompt) => (typeof prompt === 'string' ? [raw.end] : turns.ends()),
    prompt: (prompt, place = input) => {
      const fitted = fittedPrompt(prompt, place)
      if (fitted?.ids.length === 0)
        throw new DataError('Expected a prompt with at least one token, got none.', place.file, place.line)
      return fitted === undefined ? undefined : [...fitted.ids]
    },
    completion(prompt, completion, place = input) {
      const fitted = fittedPrompt(prompt, place)
      if (fitted === undefined) return undefined
      const whole = completionIds(prompt, completion, place)
      invariant(whole.length > 0, 'a completion has at least its end token.')
      const room = maxLength - fitted.ids.length
      if (room < 1)
        return refuse(
          'no-room-for-completion',
          `Expected a prompt that leaves tokens for its completion, got one of ${maxLength} tokens or more. Raise \`maxLength\`, or lower \`maxPromptLength\`.`,
          place,
        )
      const over = Math.max(0, whole.length - room)
      if (over > 0 && tooLong !== 'truncate')
        return refuse(
          'completion-too-long',
          `Expected a prompt and a completion of at most ${maxLength} tokens together, got ${fitted.ids.length} + ${whole.length}. Raise \`maxLength\`, or set \`tooLong\` to truncate or drop.`,
          place,
        )
      if (over > 0) truncated.completions++
      return {
        ids: Uint32Array.from([...fitted.ids, ...whole.slice(0, room)]),
        starts: [0],
        promptTokens: fitted.ids.length,
        truncatedTokens: fitted.truncatedTokens + over,
      }
    },
  }
}

/** What ends a turn of the template, and remarks about it: found when the first turns are encoded, since raw text needs neither. */
const turnFacts = (tokenizer: Tokenizer, template: string, isGiven: boolean) => {
  let ends: number[] | undefined
  let notes: string[] = []
  return {
    ends(): number[] {
      if (ends === undefined) {
        ends = answerEndTokens(tokenizer, template)
        notes = templateNotes(tokenizer, template, isGiven)
      }
      return ends
    },
    get notes(): readonly string[] {
      return notes
    },
  }
}

/** The completion as its one turn. @throws DataError for other turns */
const answerOf = (completion: readonly Turn[], { file, line }: Place): Turn => {
  const [answer, ...more] = completion
  if (answer?.role === 'assistant' && more.length === 0) return answer
  throw new DataError(
    `Expected one turn of the assistant as a completion, got ${completion.map(({ role }) => role).join(', ') || 'none'}.`,
    file,
    line,
  )
}

/** Raw text: special tokens in it are read as such, but neither the start nor the end token is doubled. */
const rawTextEncoder = (tokenizer: Tokenizer) => {
  const { bos, eos } = tokenizer.special
  if (eos === undefined)
    throw new ConfigError(
      "Expected a tokenizer with an end-of-text token, which ends completions, got one without. Give the base one: `vocabulary grow --eos '<|endoftext|>'`.",
    )
  const before = Array.from(specialTokenFrame(tokenizer, false).parts[0])
  return {
    end: eos.id,
    prompt(text: string): number[] {
      const ids = Array.from(tokenizer.encodeIds(text))
      const first = before[0] ?? bos?.id
      let from = 0
      while (first !== undefined && ids[from] === first) from++
      // A tokenizer that adds no start token keeps the one that the text has.
      const kept = before.length === 0 ? ids.slice(Math.max(0, from - 1)) : ids.slice(from)
      return [...before, ...kept]
    },
    completion(text: string): number[] {
      const ids = encodeContinuation(tokenizer, text)
      let [from, to] = [0, ids.length]
      while (from < to && ids[from] === bos?.id) from++
      while (to > from && ids[to - 1] === eos.id) to--
      return [...ids.slice(from, to), eos.id]
    },
  }
}

type AnswerSequence = Pick<EncodedText, 'ids' | 'typeIds' | 'truncatedTokens'>

/** Undefined for an answer that is dropped, which `skipped` counts. */
interface RewardEncoder extends Pick<CompletionEncoder, 'skipped' | 'notes'> {
  completion(prompt: PromptText, answer: PromptText, place: Place): AnswerSequence | undefined
}

/**
 * Encodes prompts with their answers for a reward model, one sequence for each answer: decoders read both as in generation, encoders read
 * them as a pair of texts.
 * @throws ConfigError for a tokenizer that does not fit
 */
export const createRewardEncoder = (
  tokenizer: Tokenizer,
  facts: Pick<BodyFacts, 'causal'> | undefined,
  options: CompletionEncoderOptions,
  headOptions: Partial<HeadOptions>,
): RewardEncoder => {
  if (facts?.causal ?? true) return createCompletionEncoder(tokenizer, options)
  const encodeText = createTextEncoder(tokenizer, options.maxLength, headOptions)
  return {
    completion(prompt, answer) {
      const [question, text] = [contentOf(prompt), contentOf(answer)]
      return question.trim() === '' ? encodeText(text) : encodeText(question, text)
    },
    skipped: {},
    notes: [],
  }
}

export const joinSequences = (
  sequences: readonly AnswerSequence[],
): { ids: Uint32Array; starts: number[]; typeIds?: Uint8Array; truncatedTokens: number } => {
  const starts: number[] = []
  let end = 0
  for (const { ids } of sequences) {
    starts.push(end)
    end += ids.length
  }
  const ids = new Uint32Array(end)
  const typed = sequences.some(({ typeIds }) => typeIds !== undefined)
  const typeIds = new Uint8Array(typed ? end : 0)
  sequences.forEach((one, i) => {
    ids.set(one.ids, starts[i])
    if (one.typeIds !== undefined) typeIds.set(one.typeIds, starts[i])
  })
  const truncatedTokens = sequences.reduce((sum, one) => sum + one.truncatedTokens, 0)
  return { ids, starts, truncatedTokens, ...(typed ? { typeIds } : {}) }
}
