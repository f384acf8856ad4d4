// Training examples and prompts for decoders: conversations through a chat template, with a mask of the answer tokens, and the handling
// of conversations that are too long.
import { ConfigError, DataError } from '../../core/index.ts'
import { applyChatTemplate, fitTemplate, type Tokenizer, templateSource } from '../../tokenizers/index.ts'
import type { Place } from '../records/row.ts'
import { type AnswerCriterion, type AnswerExample, createAnswerCriterion } from './answer-criterion.ts'
import { answerEndTokens, templateNotes } from './answer-ends.ts'
import type { GenerationSettings } from './generation-fields.ts'
import { fitTurns } from './prompts.ts'
import { messageOf, type ToolDefinition, type Turn } from './turns.ts'

/** The turns up to a question, with a source text in the last one that may be truncated. */
export interface ChatPrompt {
  turns: readonly Turn[]
  /** Range of the source in the content of the last turn: [start, end). */
  source?: readonly [number, number]
  tools?: readonly ToolDefinition[]
}

export interface ChatEncoderOptions {
  /** Jinja source or the name of a preset (default: the tokenizer's template). */
  template?: string
  lossOn: GenerationSettings['lossOn']
  labelSmoothing?: number
  tooLong: GenerationSettings['tooLong']
  /** Maximum tokens of a training example. */
  maxLength: number
  /** Maximum tokens of a prompt, which leaves positions for the answer. */
  maxPrompt: number
}

/** Training examples and prompts of a generative task, bound to a tokenizer. */
export interface AnswerEncoder<Example> {
  criterion: AnswerCriterion<Example>
  /** Training examples; empty for a conversation that is dropped as too long. @throws ConfigError or DataError */
  encode(question: ChatPrompt, answer: string | Turn, place: Place): Example[]
  /** The prompt, and the number of truncated tokens. */
  prompt(question: ChatPrompt, place: Place): { ids: number[]; truncatedTokens: number }
  /** Tokens that end an answer. */
  eosTokenIds: number[]
  template?: string
  notes: string[]
}

/** The prompt with its source truncated to `length` characters, at a word boundary if possible. */
const shortened = ({ turns, source = [0, 0], ...more }: ChatPrompt, length: number): ChatPrompt => {
  const [start, end] = source
  const last = turns[turns.length - 1]
  const whole = last.content.slice(start, start + length)
  const word = whole.lastIndexOf(' ')
  const kept = word > whole.length / 2 ? whole.slice(0, word) : whole
  return {
    ...more,
    turns: [...turns.slice(0, -1), { ...last, content: last.content.slice(0, start) + kept + last.content.slice(end) }],
    source: [start, start + kept.length],
  }
}

/** Share of `maxLength` that a prompt keeps beside a long answer: an answer to nothing teaches nothing. */
const KEPT_PROMPT = 1 / 4

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

/** Parts of a conversation that a template may not know, by the names under which templates read them. */
const parts: readonly { name: string; read: RegExp; has(question: ChatPrompt): boolean; advice: string }[] = [
  {
    name: 'tool definitions',
    read: /\btools\b/,
    has: ({ tools }) => tools !== undefined,
    advice: 'Choose a `template` that does, such as chatml',
  },
  {
    name: 'calls of tools',
    read: /\btool_calls\b/,
    has: ({ turns }) => turns.some(({ tool_calls }) => tool_calls !== undefined),
    advice: 'Choose a `template` that does, such as chatml',
  },
  {
    name: 'reasoning',
    read: /\b(reasoning_content|thinking)\b/,
    has: ({ turns }) => turns.some(({ reasoning_content }) => reasoning_content !== undefined),
    advice: 'Set `reasoning` to `tags`, which writes it between <think> and </think>, or to `drop`',
  },
]

/** @throws ConfigError for a part of the conversation that the template would leave out without a word */
const expectWritten = (template: string, question: ChatPrompt): void => {
  const source = templateSource(template)
  const lost = parts.find(({ read, has }) => has(question) && !read.test(source))
  if (lost !== undefined)
    throw new ConfigError(`Expected a chat template that writes ${lost.name}, got one that does not. ${lost.advice}.`)
}

const variablesOf = ({ tools }: ChatPrompt) => (tools === undefined ? {} : { variables: { tools } })

/** Token ids of a conversation, and the weight of each token in the loss. */
const renderConversation = (
  tokenizer: Tokenizer,
  template: string,
  question: ChatPrompt,
  lossOn: ChatEncoderOptions['lossOn'],
) => {
  const { turns } = question
  expectWritten(template, question)
  const { ids, assistantMask, answers } = applyChatTemplate(tokenizer, turns.map(messageOf), {
    template,
    ...variablesOf(question),
  })
  const weights = turns.filter(({ role }) => role === 'assistant').map(({ weight = 1 }) => weight)
  let weightOf: readonly number[] = assistantMask
  if (weights.some((weight) => weight !== 1)) {
    if (answers === undefined)
      throw new ConfigError(
        'Weights of turns need a chat template that writes each answer once: mark them in the template with {% generation %} … {% endgeneration %}.',
      )
    weightOf = answers.map((answer) => (answer < 0 ? 0 : weights[answer]))
  }
  if (lossOn === 'last-answer') {
    const last = assistantMask.lastIndexOf(1)
    let first = last
    while (first > 0 && assistantMask[first - 1] === 1) first--
    weightOf = weightOf.map((weight, i) => (i < first ? 0 : weight))
  }
  return { ids, weights: weightOf }
}

/** The last token with a loss before `to`; -1 for none. */
const lastTrained = (weights: readonly number[], to = weights.length): number => {
  let last = to - 1
  while (last >= 0 && weights[last] === 0) last--
  return last
}

/** The encoder of decoders. @throws ConfigError for a template that fails, or without an end token after answers */
export const createChatEncoder = (tokenizer: Tokenizer, options: ChatEncoderOptions): AnswerEncoder<AnswerExample> => {
  const { lossOn, tooLong, maxLength, maxPrompt } = options
  const template = fitTemplate(tokenizer, options.template ?? tokenizer.chatTemplate ?? 'plain')
  const ends = answerEndTokens(tokenizer, template)
  const notes = templateNotes(tokenizer, template, options.template !== undefined)

  const example = (
    { ids, weights }: ReturnType<typeof renderConversation>,
    from: number,
    to: number,
    truncatedTokens: number,
  ): AnswerExample | undefined => {
    // Tokens after the last target have no influence on the loss.
    const last = lastTrained(weights, to)
    if (last < from + 1) return undefined
    const positions: number[] = []
    for (let i = from + 1; i <= last; i++) if (weights[i] !== 0) positions.push(i - 1 - from)
    const ofTargets = positions.map((position) => weights[from + position + 1])
    return {
      ids: Uint32Array.from(ids.slice(from, last)),
      starts: [0],
      positions: Uint32Array.from(positions),
      targets: Uint32Array.from(positions, (position) => ids[from + position + 1]),
      truncatedTokens,
      ...(ofTargets.every((weight) => weight === 1) ? {} : { weights: Float32Array.from(ofTargets) }),
    }
  }
  const promptIds = (question: ChatPrompt) => {
    expectWritten(template, question)
    const options = { template, addGenerationPrompt: true, ...variablesOf(question) }
    return applyChatTemplate(tokenizer, question.turns.map(messageOf), options).ids
  }

  return {
    criterion: createAnswerCriterion(tokenizer.special.pad?.id ?? 0, options.labelSmoothing),
    eosTokenIds: ends,
    template,
    notes,
    encode(question, answer, { file, line }) {
      const last: Turn = typeof answer === 'string' ? { role: 'assistant', content: answer } : answer
      const whole = (one: ChatPrompt) =>
        renderConversation(tokenizer, template, { ...one, turns: [...one.turns, last] }, lossOn)
      let rendered = whole(question)
      const length = () => lastTrained(rendered.weights)
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
          const kept = Math.floor(maxLength * KEPT_PROMPT)
          let fitted = truncateSource(question, maxLength, (one) => lastTrained(whole(one).weights))
          if (fitted.truncatedTokens > 0 && promptIds(fitted.question).length < kept)
            fitted = truncateSource(question, kept, (one) => promptIds(one).length)
          rendered = whole(fitted.question)
          truncatedTokens = fitted.truncatedTokens + Math.max(0, length() - maxLength)
        }
      }
      const end = length() + 1
      const step = maxLength + 1
      const pieces = tooLong === 'split' ? Math.ceil((end - 1) / maxLength) : 1
      return Array.from({ length: pieces }, (_, piece) => {
        // Pieces overlap by one token, so that the first token of each is a target in the piece before.
        const from = piece * maxLength
        return example(rendered, from, Math.min(end, from + step), piece === 0 ? truncatedTokens : 0)
      }).filter((one) => one !== undefined)
    },
    prompt(question) {
      const { question: fitted, truncatedTokens } = truncateSource(question, maxPrompt, (one) => promptIds(one).length)
      const { ids, truncatedTokens: more } = fitTurns(fitted.turns, maxPrompt, tokenizer, (turns) =>
        promptIds({ ...fitted, turns }),
      )
      return { ids, truncatedTokens: truncatedTokens + more }
    },
  }
}
