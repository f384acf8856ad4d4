// Training examples and prompts for decoders: conversations through a chat template, with a mask of the answer tokens, and the handling
// of conversations that are too long.
import { DataError } from '../../core/index.ts'
import { applyChatTemplate, fitTemplate, type Tokenizer } from '../../tokenizers/index.ts'
import type { Place } from '../records/read-report.ts'
import { type AnswerCriterion, type AnswerExample, createAnswerCriterion } from './answer-criterion.ts'
import { answerEndTokens, templateNotes } from './answer-ends.ts'
import { fitTurns } from './fit-prompt.ts'
import type { GenerationSettings, TooLong } from './generation-fields.ts'
import type { Turn } from './turns.ts'

/** The turns up to a question, with a source text in the last one that may be truncated. */
export interface ChatPrompt {
  turns: readonly Turn[]
  /** Range of the source in the content of the last turn: [start, end). */
  source?: readonly [number, number]
}

export interface ChatEncoderOptions {
  /** Jinja source or the name of a preset (default: the tokenizer's template). */
  template?: string
  /** Answers that the loss includes. */
  lossOn: GenerationSettings['lossOn']
  tooLong: TooLong
  /** Maximum tokens of a training example. */
  maxLength: number
  /** Maximum tokens of a prompt, which leaves positions for the answer. */
  maxPrompt: number
}

/** Training examples and prompts of a generative task, bound to a tokenizer. */
export interface AnswerEncoder<Example> {
  criterion: AnswerCriterion<Example>
  /** Training examples; empty for a conversation that is dropped as too long. @throws ConfigError or DataError */
  encode(question: ChatPrompt, answer: string, place: Place): Example[]
  /** The prompt, and the number of truncated tokens. */
  prompt(question: ChatPrompt, place: Place): { ids: number[]; truncatedTokens: number }
  /** Tokens that end an answer. */
  eosTokenIds: number[]
  template?: string
  notes: string[]
}

/** The prompt with its source truncated to `length` characters, at a word boundary if possible. */
const shortened = ({ turns, source = [0, 0] }: ChatPrompt, length: number): ChatPrompt => {
  const [start, end] = source
  const last = turns[turns.length - 1]
  const whole = last.content.slice(start, start + length)
  const word = whole.lastIndexOf(' ')
  const kept = word > whole.length / 2 ? whole.slice(0, word) : whole
  return {
    turns: [...turns.slice(0, -1), { ...last, content: last.content.slice(0, start) + kept + last.content.slice(end) }],
    source: [start, start + kept.length],
  }
}

/**
 * Truncates the source until the prompt has at most `limit` tokens, or no source is left.
 * @returns the prompt and the number of truncated tokens
 */
const truncateSource = (
  question: ChatPrompt,
  limit: number,
  tokensOf: (question: ChatPrompt) => number,
): { question: ChatPrompt; truncatedTokens: number } => {
  const whole = tokensOf(question)
  let fitting = question
  let tokens = whole
  while (tokens > limit && fitting.source !== undefined && fitting.source[1] > fitting.source[0]) {
    const length = fitting.source[1] - fitting.source[0]
    // Characters are removed in proportion to the excess of tokens, at least one, so that the loop ends.
    const perToken = Math.max(1, length / tokens)
    fitting = shortened(fitting, Math.max(0, Math.floor(length - perToken * (tokens - limit))))
    tokens = tokensOf(fitting)
  }
  return { question: fitting, truncatedTokens: whole - tokens }
}

/** Token ids of a conversation with the mask of the answers that the loss includes. */
const renderConversation = (
  tokenizer: Tokenizer,
  template: string,
  turns: readonly Turn[],
  lossOn: ChatEncoderOptions['lossOn'],
) => {
  const { ids, assistantMask } = applyChatTemplate(tokenizer, turns as Turn[] as never, { template })
  if (lossOn === 'last-answer') {
    const last = assistantMask.lastIndexOf(1)
    let first = last
    while (first > 0 && assistantMask[first - 1] === 1) first--
    assistantMask.fill(0, 0, first)
  }
  return { ids, mask: assistantMask }
}

/** The encoder of decoders. @throws ConfigError for a template that fails, or without an end token after answers */
export const createChatEncoder = (tokenizer: Tokenizer, options: ChatEncoderOptions): AnswerEncoder<AnswerExample> => {
  const { lossOn, tooLong, maxLength, maxPrompt } = options
  const template = fitTemplate(tokenizer, options.template ?? tokenizer.chatTemplate ?? 'plain')
  const ends = answerEndTokens(tokenizer, template)
  const notes = templateNotes(tokenizer, template, options.template !== undefined)

  const example = (
    ids: readonly number[],
    mask: readonly number[],
    from: number,
    to: number,
    truncatedTokens: number,
  ) => {
    // Tokens after the last target have no influence on the loss.
    const last = mask.lastIndexOf(1, to - 1)
    if (last < from + 1) return undefined
    const positions: number[] = []
    for (let i = from + 1; i <= last; i++) if (mask[i] === 1) positions.push(i - 1 - from)
    return {
      ids: Uint32Array.from(ids.slice(from, last)),
      starts: [0],
      positions: Uint32Array.from(positions),
      targets: Uint32Array.from(positions, (position) => ids[from + position + 1]),
      truncatedTokens,
    }
  }
  const promptIds = (question: ChatPrompt) =>
    applyChatTemplate(tokenizer, question.turns as Turn[] as never, { template, addGenerationPrompt: true }).ids

  return {
    criterion: createAnswerCriterion(tokenizer.special.pad?.id ?? 0),
    eosTokenIds: ends,
    template,
    notes,
    encode(question, answer, { file, line }) {
      const whole = (one: ChatPrompt) =>
        renderConversation(tokenizer, template, [...one.turns, { role: 'assistant', content: answer }], lossOn)
      let { ids, mask } = whole(question)
      const length = () => mask.lastIndexOf(1)
      let truncatedTokens = 0
      if (length() > maxLength) {
        if (tooLong === 'drop') return []
        if (tooLong === 'error')
          throw new DataError(
            `Expected a conversation of at most ${maxLength} tokens, got ${length()}. Raise \`maxLength\`, or set \`tooLong\`.`,
            file,
            line,
          )
        if (tooLong === 'truncate') {
          const fitted = truncateSource(question, maxLength, (one) => whole(one).mask.lastIndexOf(1))
          ;({ ids, mask } = whole(fitted.question))
          truncatedTokens = fitted.truncatedTokens + Math.max(0, length() - maxLength)
        }
      }
      const end = length() + 1
      const step = maxLength + 1
      const pieces = tooLong === 'split' ? Math.ceil((end - 1) / maxLength) : 1
      return Array.from({ length: pieces }, (_, piece) => {
        // Pieces overlap by one token, so that the first token of each is a target in the piece before.
        const from = piece * maxLength
        return example(ids, mask, from, Math.min(end, from + step), piece === 0 ? truncatedTokens : 0)
      }).filter((one) => one !== undefined)
    },
    prompt(question) {
      const { question: fitted, truncatedTokens } = truncateSource(question, maxPrompt, (one) => promptIds(one).length)
      const { ids, truncatedTokens: more } = fitTurns(fitted.turns, maxPrompt, tokenizer, (turns) =>
        promptIds({ turns }),
      )
      return { ids, truncatedTokens: truncatedTokens + more }
    },
  }
}
