// Runs a specialist in the browser: what the page shows is computed here, by transformers.js. Knows no element of the page.
import {
  AutoModelForCausalLM,
  AutoModelForSeq2SeqLM,
  AutoTokenizer,
  PreTrainedModel,
  type PreTrainedTokenizer,
  type Tensor,
  TextStreamer,
} from '@huggingface/transformers'
import type { SpecialistFacts } from '../../src/export/web/specialist-facts.ts'
import { type EncodedWord, encodeWords, framed, frameOf, frameSize } from './encoding.ts'

/** Folder of the model's files, beside the page. */
const FOLDER = 'model'

/** A class with its probability, or the number that a regression predicts. */
export interface Scored {
  label: string
  score: number
}

/** A part of a text; `label` is absent where it is no entity. */
export interface TextPart {
  text: string
  label?: string
}

/** A model that was opened. */
export interface Opened {
  facts: SpecialistFacts
  tokenizer: PreTrainedTokenizer
  model: PreTrainedModel
}

type Outputs = Record<string, Tensor>

const valuesOf = (tensor: Tensor): Float32Array => tensor.data as Float32Array

const run = ({ model }: Opened, inputs: object): Promise<Outputs> => model(inputs) as Promise<Outputs>

const encode = ({ tokenizer, facts }: Opened, text: string, pair?: string): object =>
  tokenizer(text, {
    // Some tokenizers leave segments out unless they are asked for.
    ...(pair === undefined ? {} : { text_pair: pair, return_token_type_ids: true }),
    truncation: true,
    max_length: facts.maxLength,
  })

/** Opens the model beside the page. @param onProgress a file, and the share of it that is loaded */
export const openSpecialist = async (
  facts: SpecialistFacts,
  onProgress: (file: string, share: number) => void,
): Promise<Opened> => {
  const tokenizer = await AutoTokenizer.from_pretrained(FOLDER)
  const writers = { 'text-generation': AutoModelForCausalLM, 'text2text-generation': AutoModelForSeq2SeqLM }
  const opener = facts.pipeline in writers ? writers[facts.pipeline as keyof typeof writers] : PreTrainedModel
  const model = await opener.from_pretrained(FOLDER, {
    dtype: facts.dtype as 'fp32',
    device: 'wasm',
    progress_callback: (event: { status: string; file?: string; progress?: number }) => {
      if (event.status === 'progress') onProgress(event.file ?? '', (event.progress ?? 0) / 100)
    },
  })
  return { facts, tokenizer, model }
}

const softmax = (logits: readonly number[]): number[] => {
  const most = Math.max(...logits)
  const parts = logits.map((one) => Math.exp(one - most))
  const sum = parts.reduce((total, one) => total + one, 0)
  return parts.map((one) => one / sum)
}

/** Classes with their probabilities, the likeliest first; of a regression, its value. */
export const classify = async (opened: Opened, text: string, second: string): Promise<Scored[]> => {
  const { labels, multiLabel, pair } = opened.facts
  const { logits } = await run(opened, encode(opened, text, pair ? second : undefined))
  const values = Array.from(valuesOf(logits))
  if (labels.length === 0) return values.map((score) => ({ label: 'value', score }))
  const scores = multiLabel ? values.map((one) => 1 / (1 + Math.exp(-one))) : softmax(values)
  return labels.map((label, i) => ({ label, score: scores[i] })).sort((a, b) => b.score - a.score)
}

/** Whether a tag goes on with the entity of the word before. */
const continues = (tag: string, before: string | undefined): boolean =>
  /^[IE]-/.test(tag) && before !== undefined && before.slice(2) === tag.slice(2)

/** The text as entities and what lies between them. */
const partsOf = (text: string, words: readonly EncodedWord[], tags: readonly string[]): TextPart[] => {
  const parts: TextPart[] = []
  let end = 0
  for (const [i, { text: word, start }] of words.entries()) {
    if (tags[i] === 'O') continue
    const last = parts.at(-1)
    if (continues(tags[i], tags[i - 1]) && last !== undefined) last.text += text.slice(end, start + word.length)
    else {
      if (start > end) parts.push({ text: text.slice(end, start) })
      parts.push({ text: word, label: tags[i].replace(/^[BIES]-/, '') })
    }
    end = start + word.length
  }
  return end < text.length ? [...parts, { text: text.slice(end) }] : parts
}

/** Words as src/tasks/token-classification.ts has them. */
const wordPattern = /(?:[\p{L}\p{M}\p{N}_]|(?!\s)\p{Cf})+|[^\s\p{L}\p{M}\p{N}_](?:(?!\s)\p{Cf})*/gu

/** The tag of each word, and the text with its entities. Words beyond the model's length have no entity. */
export const tag = async (opened: Opened, text: string): Promise<{ tags: string[]; parts: TextPart[] }> => {
  const { facts, tokenizer } = opened
  const { labels, maxLength } = facts
  const words = encodeWords(tokenizer, text, wordPattern)
  const frame = frameOf(tokenizer, 1)
  const ids = words.flatMap((word) => word.ids).slice(0, maxLength - frameSize(frame))
  const { inputs, offset } = framed(frame, [ids])
  const logits = valuesOf((await run(opened, inputs)).logits)
  const unseen = labels.includes('O') ? 'O' : labels[0]
  let at = 0
  const tags = words.map((word) => {
    const first = at
    at += word.ids.length
    if (word.ids.length === 0 || first >= ids.length) return unseen
    const from = (offset + first) * labels.length
    const scores = logits.subarray(from, from + labels.length)
    return labels[scores.indexOf(Math.max(...scores))]
  })
  return { tags, parts: partsOf(text, words, tags) }
}

/** A token of the context: where it is in the text. */
interface Place {
  start: number
  end: number
}

const placesOf = (words: readonly EncodedWord[]): Place[] =>
  words.flatMap(({ start, text, ends }) =>
    ends.map((end, i) => {
      const before = i === 0 ? 0 : ends[i - 1]
      return { start: start + (before === text.length ? 0 : before), end: start + end }
    }),
  )

/** The answer as a part of the context; empty where the model finds none. */
export const answer = async (opened: Opened, question: string, context: string): Promise<string> => {
  const { facts, tokenizer } = opened
  const words = encodeWords(tokenizer, context, /\S+/g)
  const [places, ids] = [placesOf(words), words.flatMap((word) => word.ids)]
  const asked = tokenizer.encode(question, { add_special_tokens: false }).slice(0, facts.maxQuestionTokens)
  const frame = frameOf(tokenizer, 2)
  const capacity = Math.max(1, facts.maxLength - frameSize(frame) - asked.length)
  // Windows too small for the stride share half of their tokens.
  const stride = facts.stride ?? Math.min(128, capacity >> 1)
  const shared = capacity > stride ? stride : capacity >> 1
  let best = { score: Number.NEGATIVE_INFINITY, start: 0, end: 0 }
  let none = Number.POSITIVE_INFINITY
  for (let from = 0; from === 0 || from + shared < ids.length; from += capacity - shared) {
    const { inputs, offset } = framed(frame, [asked, ids.slice(from, from + capacity)])
    const outputs = await run(opened, inputs)
    const [starts, ends] = [valuesOf(outputs.start_logits), valuesOf(outputs.end_logits)]
    none = Math.min(none, starts[0] + ends[0])
    const count = Math.min(capacity, ids.length - from)
    for (let first = 0; first < count; first++)
      for (let last = first; last < Math.min(count, first + facts.maxAnswerTokens); last++) {
        const score = starts[offset + first] + ends[offset + last]
        const [start, end] = [places[from + first].start, places[from + last].end]
        if (end > start && score > best.score) best = { score, start, end }
      }
  }
  const { nullThreshold } = facts
  if (nullThreshold !== undefined && none - best.score > nullThreshold) return ''
  return context.slice(best.start, best.end)
}

/** Cosine similarity of a text to others, the most similar first. */
export const compare = async (opened: Opened, text: string, others: readonly string[]): Promise<Scored[]> => {
  const embed = async (one: string): Promise<Float32Array> =>
    valuesOf((await run(opened, encode(opened, one))).sentence_embedding)
  const product = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, i) => sum + value * b[i], 0)
  const own = await embed(text)
  const found: Scored[] = []
  for (const label of others) {
    const other = await embed(label)
    found.push({ label, score: product(own, other) / Math.sqrt(product(own, own) * product(other, other)) })
  }
  return found.sort((a, b) => b.score - a.score)
}

/** Generates a text. @param onText called with the text so far */
export const write = async (
  { facts, model, tokenizer }: Opened,
  prompt: string,
  onText: (text: string) => void,
): Promise<string> => {
  const options = { add_generation_prompt: true, return_dict: true } as const
  const inputs = facts.chat
    ? tokenizer.apply_chat_template([{ role: 'user', content: prompt }], options)
    : tokenizer(prompt, { truncation: true, max_length: facts.maxLength })
  let text = ''
  const streamer = new TextStreamer(tokenizer, {
    skip_prompt: facts.pipeline === 'text-generation',
    skip_special_tokens: true,
    callback_function: (part: string) => {
      text += part
      onText(text)
    },
  })
  await model.generate({ ...(inputs as object), ...facts.generation, streamer } as never)
  return text
}
