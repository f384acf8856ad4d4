// `open`: any MODEL behind one small interface, a line for each thing people do with a model.
import type { ModelTokenizer } from '../checkpoint/index.ts'
import { ConfigError, optionCheck, show } from '../core/index.ts'
import { type Embedded, type EmbedSettings, embedWithRows } from '../features/index.ts'
import {
  beginPrompts,
  type GenerationOptions,
  type GenerationResult,
  generateMany,
  streamText,
  withDefaults,
} from '../generation/index.ts'
import { freeWeights, type HeadType, LanguageHead, type Model, withHead } from '../models/index.ts'
import { entitySpans } from '../tasks/index.ts'
import type { Conversation } from './conversation.ts'
import { chatWith, type OpenedChatInput } from './conversation.ts'
import { generationDefaults } from './generation-defaults.ts'
import { type InferenceModel, type LoadHooks, loadForInference, loadLanguageModel, type ModelChoice } from './load.ts'
import { predictWith } from './predict.ts'
import { type FilledText, fillMask } from './predictions/fill-mask.ts'
import { type Answer, findAnswers } from './predictions/find-answer.ts'
import { generateAnswers } from './predictions/generate-answer.ts'
import { methodsOf } from './predictions/index.ts'
import { type Reward, type RewardInput, rewardsOf, rewardTask } from './predictions/reward.ts'
import {
  classificationTask,
  maxInputTokens,
  predictFields,
  type TaskTextPrediction,
  taggingTask,
} from './predictions/task-predictions.ts'

/** How `open` loads a model. */
export interface OpenSettings extends Omit<ModelChoice, 'model'>, LoadHooks {
  /** dtype of the weights in memory (default: as in the files for GGUF, else float32). */
  dtype?: 'float32' | 'bfloat16'
  /** Head to load in place of the one in the files. */
  head?: HeadType
}

const expectOpenSettings = optionCheck<OpenSettings>('open', {
  task: true,
  revision: true,
  device: true,
  weights: true,
  dtype: true,
  head: true,
  onDownload: true,
  onNote: true,
})

/** Two texts that are classified together. */
export interface TextPair {
  text: string
  pair: string
}

/** A question, with the text that holds its answer for an extractive model. */
export interface Question {
  question: string
  context?: string
}

/** Limits of one call. */
export interface CallOptions {
  /** Maximum tokens per text (default: as in fine-tuning, else the model's limit). */
  maxLength?: number
  signal?: AbortSignal
}

const expectPair = optionCheck<TextPair>('classify', { text: true, pair: true })
const expectTextOrPair = (input: string | TextPair): void => {
  if (typeof input === 'string') return
  if (typeof input !== 'object' || input === null)
    throw new ConfigError(
      `Expected a text, or an object with \`text\` and \`pair\`, for \`classify\`, got ${show(input)}.`,
    )
  expectPair(input)
}
const callCheck = (method: string) => optionCheck<CallOptions>(method, { maxLength: true, signal: true })
const expectCallOptions = {
  classify: callCheck('classify'),
  reward: callCheck('reward'),
  extract: callCheck('extract'),
}

/** The class of a text. */
export interface SingleLabel {
  /** The most likely class. */
  label: string
  /** Probability of each label. */
  probabilities: { [label: string]: number }
  labels?: undefined
  value?: undefined
}

/** The labels of a text, from a multi-label model. */
interface MultiLabel {
  labels: string[]
  /** Probability of each label. */
  probabilities: { [label: string]: number }
  label?: undefined
  value?: undefined
}

/** The number that a regression model predicts for a text. */
interface PredictedValue {
  value: number
  label?: undefined
  labels?: undefined
  probabilities?: undefined
}

/** What a classification head says of a text; `label !== undefined` tells a class from the others. */
export type Classification = SingleLabel | MultiLabel | PredictedValue

/** A span of a text with its type, such as a person's name. */
export interface Entity {
  type: string
  text: string
  /** Character offsets in the text, `end` exclusive. */
  start: number
  end: number
}

/** Settings of generated texts. */
export type TextGenerationOptions = GenerationOptions & {
  /**
   * Text after a gap: the text between the prompt and it is generated. It needs a model with the tokens of fill-in-the-middle;
   * an empty one is none.
   */
  suffix?: string | undefined
  signal?: AbortSignal | undefined
}

/** Settings of vectors that are one for each text. */
export type TextEmbedSettings = Omit<Partial<EmbedSettings>, 'pooling'> & {
  pooling?: Exclude<EmbedSettings['pooling'], 'tokens'>
  signal?: AbortSignal | undefined
}

const isOne = <Value>(value: Value | readonly Value[]): value is Value => !Array.isArray(value)

/** Applies a function of lists to one value or to a list. */
const forOneOrMany = async <Input, Output>(
  input: Input | readonly Input[],
  call: (inputs: readonly Input[]) => Promise<Output[]>,
): Promise<Output | Output[]> => {
  if (!isOne(input)) return call(input)
  const [output] = await call([input])
  return output
}

const classificationOf = ({ prediction }: TaskTextPrediction): Classification => {
  const { id: _, ...fields } = prediction
  // The registry gives every task as one type, without its own predictions.
  return fields as unknown as Classification
}

/** Words of a tagged text as entities with character offsets. */
const entitiesOf = (text: string, { prediction, parts }: TaskTextPrediction): Entity[] => {
  const words = parts.tokens ?? []
  const starts: number[] = []
  let at = 0
  for (const word of words) {
    const start = text.indexOf(word, at)
    starts.push(start)
    at = start + word.length
  }
  return entitySpans((prediction as { tags?: string[] }).tags ?? []).map(({ type, start, end }) => {
    const from = starts[start]
    const to = starts[end - 1] + words[end - 1].length
    return { type, text: text.slice(from, to), start: from, end: to }
  })
}

/**
 * A model in memory with its tokenizer. Each method needs the head it names; a method that the model's head cannot serve is an error
 * that names those that can. Call `close` to free the memory immediately; else the garbage collector does, later.
 */
export class TextModel {
  readonly #whole: InferenceModel
  #embedding: Model | undefined
  #closed = false

  constructor(loaded: InferenceModel) {
    this.#whole = loaded
    loaded.model.eval()
  }

  /** The model itself, for everything that these methods do not cover. @throws ConfigError after `close` */
  get model(): Model {
    return this.#loaded.model
  }

  get tokenizer(): ModelTokenizer {
    return this.#whole.tokenizer
  }

  /** What the model predicts. */
  get head(): HeadType {
    return this.#whole.model.headType
  }

  /** The labels of the head, where it has some. */
  get labels(): readonly string[] {
    return this.#whole.model.headOptions.labels
  }

  /**
   * The class of each text, the labels of a multi-label model, or the number of a regression model.
   * @throws ConfigError for a model without a classification head, and for unknown fields
   */
  classify(text: string | TextPair, options?: CallOptions): Promise<Classification>
  classify(texts: readonly (string | TextPair)[], options?: CallOptions): Promise<Classification[]>
  classify(
    input: string | TextPair | readonly (string | TextPair)[],
    options: CallOptions = {},
  ): Promise<Classification | Classification[]> {
    this.#expectHead('classify', ['sequence-classification'])
    expectCallOptions.classify(options)
    for (const one of [input].flat()) expectTextOrPair(one)
    const task = classificationTask(this.model.headOptions)
    return forOneOrMany<string | TextPair, Classification>(input, async (texts) => {
      const inputs = texts.map((text) => (typeof text === 'string' ? { text } : { ...text }))
      return (await predictFields(this.#loaded, task, inputs, options)).map(classificationOf)
    })
  }

  /**
   * How good each answer is: a text, a prompt with its completion, or a conversation that ends with the answer.
   * @throws ConfigError for a model without a reward head
   */
  reward(input: RewardInput, options?: CallOptions): Promise<Reward>
  reward(inputs: readonly RewardInput[], options?: CallOptions): Promise<Reward[]>
  reward(input: RewardInput | readonly RewardInput[], options: CallOptions = {}): Promise<Reward | Reward[]> {
    this.#expectHead('reward', ['reward'])
    expectCallOptions.reward(options)
    return forOneOrMany(input, (inputs) => rewardsOf(this.#loaded, inputs, options))
  }

  /**
   * Maximum tokens of an input that `classify` and `reward` read without `maxLength`: as in fine-tuning, else the default of the
   * task, and at most the positions of the model. Pairs that are encoded separately have so many for each text.
   * @throws ConfigError for a model with another head
   */
  async maxInputTokens(): Promise<number> {
    this.#expectHead('maxInputTokens', ['sequence-classification', 'reward'])
    const implied = this.head === 'reward' ? rewardTask() : classificationTask(this.model.headOptions)
    return maxInputTokens(this.#loaded, implied)
  }

  /**
   * The most likely tokens for each mask token of a text.
   * @throws ConfigError for a model without a masked language modelling head, or a text without a mask
   */
  fillMask(text: string, options: { topK?: number } = {}): FilledText {
    this.#expectHead('fillMask', ['masked-lm'])
    return fillMask(this.#loaded, text, options)
  }

  /**
   * The entities of each text, such as names of persons and places, with character offsets.
   * @throws ConfigError for a model without a token classification head
   */
  extract(text: string, options?: CallOptions): Promise<Entity[]>
  extract(texts: readonly string[], options?: CallOptions): Promise<Entity[][]>
  extract(input: string | readonly string[], options: CallOptions = {}): Promise<Entity[] | Entity[][]> {
    this.#expectHead('extract', ['token-classification'])
    expectCallOptions.extract(options)
    return forOneOrMany<string, Entity[]>(input, async (texts) => {
      const inputs = texts.map((text) => ({ text }))
      const predictions = await predictFields(this.#loaded, taggingTask(), inputs, options)
      return predictions.map((prediction, i) => entitiesOf(texts[i], prediction))
    })
  }

  /**
   * The answer to a question: a span of `context` from an extractive model, or a written answer from a generative one.
   * @throws ConfigError for a model of neither kind, or an extractive model without a context
   */
  async answer(
    question: string,
    { context, ...options }: { context?: string; maxNewTokens?: number } & CallOptions = {},
  ): Promise<Answer> {
    const [answer] = await this.answerAll([{ question, context }], options)
    return answer
  }

  /** As `answer`, for several questions in one batch. @throws ConfigError as `answer` */
  async answerAll(
    questions: readonly Question[],
    options: { maxNewTokens?: number } & CallOptions = {},
  ): Promise<Answer[]> {
    this.#expectHead('answer', ['question-answering', 'causal-lm', 'seq2seq-lm'])
    if (this.head !== 'question-answering') {
      const fields = questions.map(({ question, context }) => ({
        text: question,
        question,
        ...(context === undefined ? {} : { context }),
      }))
      return (await generateAnswers(this.#loaded, fields, options)).map(({ answer }) => ({ answer }))
    }
    if (questions.some(({ context }) => context === undefined))
      throw new ConfigError('`answer` needs a `context` with an extractive model: pass the text that holds the answer.')
    return findAnswers(this.#loaded, questions, options)
  }

  /**
   * A vector for each text, for search, clustering or any other model: float32, of the model's hidden size. A list may have token ids in
   * the place of a text, which are read as they are.
   * @throws ConfigError for a text without tokens, and for pooling `tokens`: `embedWithRows` gives the vectors of tokens
   */
  embed(text: string, options?: TextEmbedSettings): Promise<Float32Array>
  embed(texts: readonly (string | readonly number[])[], options?: TextEmbedSettings): Promise<Float32Array[]>
  embed(
    input: string | readonly (string | readonly number[])[],
    options: TextEmbedSettings = {},
  ): Promise<Float32Array | Float32Array[]> {
    if ((options as Partial<EmbedSettings>).pooling === 'tokens')
      throw new ConfigError(
        'Expected a pooling that gives one vector for each text, got tokens. Call `embedWithRows` of `tunesmith/features`, which says how many rows are of each text.',
      )
    const { model: whole } = this
    this.#embedding ??= this.head === 'embedding' ? whole : withHead(whole, 'embedding', whole.headOptions).eval()
    const model = this.#embedding
    return forOneOrMany<string | readonly number[], Float32Array>(input, async (texts) => {
      const { vectors }: Embedded = await embedWithRows(model, this.tokenizer, texts, options)
      const [rows, width] = vectors.shape
      const values = vectors.toFloat32Array()
      vectors.free()
      return Array.from({ length: rows }, (_, row) => values.slice(row * width, (row + 1) * width))
    })
  }

  /**
   * Continues each prompt, or fills the gap before `suffix`; an empty prompt begins at the start token. Settings that are left out come
   * from the model's generation_config.json.
   * @throws ConfigError for a model without a language modelling head, and for a suffix without tokens of fill-in-the-middle; the reason of
   * an aborted signal
   */
  generate(prompt: string, options?: TextGenerationOptions): Promise<string>
  generate(prompts: readonly string[], options?: TextGenerationOptions): Promise<string[]>
  generate(input: string | readonly string[], options: TextGenerationOptions = {}): Promise<string | string[]> {
    this.#expectGeneration(options)
    return forOneOrMany(input, async (prompts) =>
      (await this.generateResults(prompts, options)).map(({ text = '' }) => text),
    )
  }

  /** As `generate` for several prompts, with the reason why each text ended and its numbers of tokens. @throws as `generate` */
  async generateResults(
    prompts: readonly string[],
    { signal, suffix, ...options }: TextGenerationOptions = {},
  ): Promise<GenerationResult[]> {
    const model = this.#expectGeneration(options)
    const settings = withDefaults(await generationDefaults(this.#loaded), { ...options, numReturnSequences: 1 })
    const begun = beginPrompts(this.tokenizer, prompts, settings, suffix)
    const results = await generateMany(model, this.tokenizer, begun.prompts, begun.options, { signal })
    // A text that was cut must not look like a whole one.
    signal?.throwIfAborted()
    return results
  }

  /** Continues a prompt and yields the text piece by piece. @throws ConfigError for a model without a language modelling head */
  async *stream(prompt: string, { signal, suffix, ...options }: TextGenerationOptions = {}): AsyncGenerator<string> {
    const model = this.#generativeModel('stream')
    const settings = withDefaults(await generationDefaults(this.#loaded), options)
    const begun = beginPrompts(this.tokenizer, [prompt], settings, suffix)
    for await (const { text } of streamText(model, this.tokenizer, begun.prompts[0], begun.options, { signal }))
      if (text !== '') yield text
  }

  /** Opens a conversation with a chat model. @throws ConfigError for a model without a chat template */
  async chat(options: Omit<OpenedChatInput, 'device'> = {}): Promise<Conversation> {
    this.#generativeModel('chat')
    return chatWith(this.#loaded, options)
  }

  /** What the model's head predicts for each text, as `tunesmith predict` shows it. */
  predict(texts: readonly string[], options: { [name: string]: unknown } = {}): Promise<unknown[]> {
    return predictWith(this.#loaded, texts, options)
  }

  /** Frees the weights. The model and its tensors must not be used afterwards. */
  close(): void {
    this.#closed = true
    freeWeights(this.#whole.model)
    if (this.#embedding !== undefined) freeWeights(this.#embedding)
  }

  /** @throws ConfigError after `close`, in place of an error about the tensors that it has freed */
  get #loaded(): InferenceModel {
    if (this.#closed) throw new ConfigError('Expected an open model, got one that `close` has freed. Open it again.')
    return this.#whole
  }

  #expectHead(method: string, heads: readonly HeadType[]): void {
    if (heads.includes(this.model.headType)) return
    throw new ConfigError(
      `Expected a model with the head ${heads.join(' or ')} for \`${method}\`, got ${this.head}. Use the method that fits: ${methodsOf(this.head)}.`,
    )
  }

  /** The model for `generate`. @throws ConfigError for one that writes no text, or several texts for a prompt */
  #expectGeneration({ numReturnSequences = 1 }: GenerationOptions): Model {
    const model = this.#generativeModel('generate')
    if (numReturnSequences === 1) return model
    throw new ConfigError(
      `Expected 1 for \`numReturnSequences\`, got ${numReturnSequences}. Call the function \`generate\`, which returns several texts for a prompt.`,
    )
  }

  #generativeModel(method: string): Model {
    if (this.model.head instanceof LanguageHead && this.head !== 'masked-lm') return this.model
    throw new ConfigError(
      `Expected a model that writes text for \`${method}\`, got one with the head ${this.head}. Use the method that fits: ${methodsOf(this.head)}.`,
    )
  }
}

/**
 * Opens any MODEL: a pretrained or fine-tuned folder, the folder of a run, an adapter, a feature-based specialist, a .gguf file or a
 * Hub id.
 * @throws CheckpointError for files that cannot be loaded, ConfigError for a head that the files do not have
 */
export const open = async (model: string, settings: OpenSettings = {}): Promise<TextModel> => {
  expectOpenSettings(settings)
  return new TextModel(await loadToOpen(model, settings))
}

/** The model that `open` gives methods to, with its folder and the report of its files. @throws as `open` */
export const loadToOpen = async (
  model: string,
  { task, revision, device, weights, ...options }: OpenSettings = {},
): Promise<InferenceModel> => {
  const loaded = await loadForInference({ model, task, revision, device, weights }, options)
  // The files of a bare encoder or decoder name no head of their own; the language head is what most callers want of it.
  if (options.head === undefined && loaded.model.headType === 'embedding' && loaded.report.newHead.length > 0)
    return loadLanguageModel({ model, task, revision, device, weights }, options)
  return loaded
}
