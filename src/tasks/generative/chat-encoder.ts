// How a decoder is asked and taught: conversations through a chat template, answers found in it by their spans, and what is done where there
// is no room for all of it. Knows no task.
import { ConfigError, DataError } from '../../core/index.ts'
import { applyChatTemplate, CHAT_TEMPLATES, type Tokenizer, withStartToken } from '../../tokenizers/index.ts'
import type { Place } from '../records/read-report.ts'
import { type AnswerCriterion, type AnswerExample, createAnswerCriterion } from './answer-criterion.ts'
import type { GenerationSettings, TooLong } from './generation-fields.ts'
import type { Turn } from './turns.ts'

/** A question, with a text in it that may be shortened where there is no room. */
export interface ChatPrompt {
  turns: readonly Turn[]
  /** In the content of the last turn: [start, end). */
  source?: readonly [number, number]
}

export interface ChatEncoderOptions {
  /** Jinja source or the name of a preset; the tokenizer's own unless given. */
  template?: string
  /** Answers that are learnt: each of a conversation, or the last alone. */
  learn: GenerationSettings['learn']
  tooLong: TooLong
  /** Most tokens that the model reads while it learns. */
  maxLength: number
  /** Most tokens of a question, so that there is room for the answer. */
  maxPrompt: number
}

/** A way of writing, bound to a tokenizer. */
export interface AnswerEncoder<Example> {
  criterion: AnswerCriterion<Example>
  /** None where the conversation is too long and such ones are dropped. @throws ConfigError or DataError */
  encode(question: ChatPrompt, answer: string, place: Place): Example[]
  prompt(question: ChatPrompt, place: Place): { ids: number[]; cut: number }
  /** Tokens that end an answer. */
  eosTokenIds: number[]
  template?: string
  notes: string[]
}

/** The content of the last turn with its source cut to `length`, at a word where there is one. */
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
 * A question whose source is so short that `tokensOf` it is at most `limit`, or that has no source left.
 * @returns the tokens that were cut, too
 */
const truncateSource = (
  question: ChatPrompt,
  limit: number,
  tokensOf: (question: ChatPrompt) => number,
): { question: ChatPrompt; cut: number } => {
  const whole = tokensOf(question)
  let fitting = question
  let tokens = whole
  while (tokens > limit && fitting.source !== undefined && fitting.source[1] > fitting.source[0]) {
    const length = fitting.source[1] - fitting.source[0]
    // Characters are cut in proportion to tokens; one at least, so that this ends.
    const perToken = Math.max(1, length / tokens)
    fitting = shortened(fitting, Math.max(0, Math.floor(length - perToken * (tokens - limit))))
    tokens = tokensOf(fitting)
  }
  return { question: fitting, cut: whole - tokens }
}

/** Tokens of answers, marked by conversation. */
const renderConversation = (
  tokenizer: Tokenizer,
  template: string,
  turns: readonly Turn[],
  learn: ChatEncoderOptions['learn'],
) => {
  const { ids, assistantMask } = applyChatTemplate(tokenizer, turns as Turn[] as never, { template })
  if (learn === 'last') {
    const last = assistantMask.lastIndexOf(1)
    let first = last
    while (first > 0 && assistantMask[first - 1] === 1) first--
    assistantMask.fill(0, 0, first)
  }
  return { ids, mask: assistantMask }
}

const exchange = (question: string, answer: string): Turn[] => [
  { role: 'user', content: question },
  { role: 'assistant', content: answer },
]

/** The tokens that end turns, found by asking the template. @throws ConfigError for a template after whose answers no token of the tokenizer comes */
const answerEndTokens = (tokenizer: Tokenizer, template: string): number[] => {
  const conversation = [...exchange('Is it?', 'It is.'), ...exchange('Why?', 'So it is.')]
  const { ids, mask } = renderConversation(tokenizer, template, conversation, 'every')
  const specials = new Set(tokenizer.addedTokens.map(({ id }) => id))
  const { eos } = tokenizer.special
  if (eos !== undefined) specials.add(eos.id)
  const ends = new Set<number>(eos === undefined ? [] : [eos.id])
  ids.forEach((id, i) => {
    const closes = mask[i] === 1 && mask[i + 1] !== 1
    if (closes && specials.has(id)) ends.add(id)
    if (closes && !specials.has(id))
      throw new ConfigError(
        `Expected a chat template that ends each answer with a token of its own, got one whose answers end in ${JSON.stringify(tokenizer.decode([id]))}: a model would never learn to stop. Choose another \`template\` (${Object.keys(CHAT_TEMPLATES).join(', ')}), or add its tokens to the tokenizer.`,
      )
  })
  return [...ends]
}

/** Whether questions are read in training as they are when an answer is wanted: the same tokens. */
const promptMatchesTraining = (tokenizer: Tokenizer, template: string): boolean => {
  const [question, answer] = exchange('Is it?', 'It is.')
  const whole = applyChatTemplate(tokenizer, [question, answer] as never, { template }).ids
  const prompt = applyChatTemplate(tokenizer, [question] as never, { template, addGenerationPrompt: true }).ids
  return prompt.every((id, i) => id === whole[i])
}

/** @throws ConfigError for a template that fails, or whose answers have no end */
export const createChatEncoder = (tokenizer: Tokenizer, options: ChatEncoderOptions): AnswerEncoder<AnswerExample> => {
  const { learn, tooLong, maxLength, maxPrompt } = options
  const template = withStartToken(tokenizer, options.template ?? tokenizer.chatTemplate ?? 'plain')
  const ends = answerEndTokens(tokenizer, template)
  const notes = promptMatchesTraining(tokenizer, template)
    ? []
    : ['The chat template writes another beginning of answers when one is wanted than in whole conversations.']
  if (options.template === undefined && tokenizer.chatTemplate === undefined)
    notes.push('The tokenizer has no chat template: conversations are written in the form `plain`.')

  const example = (ids: readonly number[], mask: readonly number[], from: number, to: number, cut: number) => {
    // What is not trained behind the last trained token changes nothing.
    const last = mask.lastIndexOf(1, to - 1)
    if (last < from + 1) return undefined
    const positions: number[] = []
    for (let i = from + 1; i <= last; i++) if (mask[i] === 1) positions.push(i - 1 - from)
    return {
      ids: Uint32Array.from(ids.slice(from, last)),
      starts: [0],
      positions: Uint32Array.from(positions),
      targets: Uint32Array.from(positions, (position) => ids[from + position + 1]),
      truncatedTokens: cut,
    }
  }
  const asked = (question: ChatPrompt) =>
    applyChatTemplate(tokenizer, question.turns as Turn[] as never, { template, addGenerationPrompt: true }).ids

  return {
    criterion: createAnswerCriterion(tokenizer.special.pad?.id ?? 0),
    eosTokenIds: ends,
    template,
    notes,
    encode(question, answer, { file, line }) {
      const whole = (one: ChatPrompt) =>
        renderConversation(tokenizer, template, [...one.turns, { role: 'assistant', content: answer }], learn)
      let { ids, mask } = whole(question)
      const length = () => mask.lastIndexOf(1)
      let cut = 0
      if (length() > maxLength) {
        if (tooLong === 'drop') return []
        if (tooLong === 'error')
          throw new DataError(
            `Expected a conversation of at most ${maxLength} tokens, got ${length()}. Raise maxLength, or say what to do with \`tooLong\`.`,
            file,
            line,
          )
        if (tooLong === 'cut') {
          const fitted = truncateSource(question, maxLength, (one) => whole(one).mask.lastIndexOf(1))
          ;({ ids, mask } = whole(fitted.question))
          cut = fitted.cut + Math.max(0, length() - maxLength)
        }
      }
      const end = length() + 1
      const step = maxLength + 1
      const pieces = tooLong === 'split' ? Math.ceil((end - 1) / maxLength) : 1
      return Array.from({ length: pieces }, (_, piece) => {
        // Pieces share a token, so that the first of each is learnt in the piece before.
        const from = piece * maxLength
        return example(ids, mask, from, Math.min(end, from + step), piece === 0 ? cut : 0)
      }).filter((one) => one !== undefined)
    },
    prompt(question) {
      let { question: fitted, cut } = truncateSource(question, maxPrompt, (one) => asked(one).length)
      let ids = asked(fitted)
      // The oldest question and its answer give way first; what the system says stays.
      for (;;) {
        const first = fitted.turns.findIndex(({ role }) => role === 'user')
        const next = fitted.turns.findIndex(({ role }, i) => i > first && role === 'user')
        if (ids.length <= maxPrompt || next < 0) break
        fitted = { ...fitted, turns: [...fitted.turns.slice(0, first), ...fitted.turns.slice(next)] }
        const fewer = asked(fitted)
        cut += ids.length - fewer.length
        ids = fewer
      }
      if (ids.length > maxPrompt) {
        cut += ids.length - maxPrompt
        const { bos } = tokenizer.special
        const begins = bos !== undefined && ids[0] === bos.id
        ids = begins ? [bos.id, ...ids.slice(ids.length - maxPrompt + 1)] : ids.slice(-maxPrompt)
      }
      return { ids: Array.from(ids), cut }
    },
  }
}
