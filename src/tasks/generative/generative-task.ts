// What all generative tasks share: training examples and prompts for decoders and encoder-decoders, parsing of the generated text, and
// its scores. A task defines its prompts and references.
import { ConfigError, DataError, invariant, show } from '../../core/index.ts'
import type { GenerationOptions } from '../../generation/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import { expectPositions } from '../learning/batches.ts'
import { FaultCounter, type Place } from '../records/row.ts'
import { recordsAlone } from '../records/statistics.ts'
import type { GenerativeTask, PrepareOptions, TaskDefinition, TaskExample, TaskRecord } from '../task.ts'
import { AnswerScorer, answerScoreNames, type GeneratedPrediction } from './answer-scores.ts'
import { type AnswerEncoder, type ChatPrompt, createChatEncoder } from './chat-encoder.ts'
import type { GenerationSettings } from './generation-fields.ts'
import { createSeq2seqEncoder } from './seq2seq-encoder.ts'
import { answerText, type Turn } from './turns.ts'

/** A record with reference answers: the first is the training target, scoring uses all; empty where they are not known. */
export interface GenerativeRecord extends TaskRecord {
  references: readonly string[]
}

export interface GenerativeTaskSpec<Config extends GenerationSettings, Record extends GenerativeRecord> {
  /** For decoders: the turns up to the last question. */
  chatPrompt(record: Record, config: Config): ChatPrompt
  /** For decoders: the answer to train, where it is more than a text. */
  chatAnswer?(record: Record): Turn | undefined
  /** For encoder-decoders: the question as one text. */
  encoderInput(record: Record, config: Config): string
  /** The metric that checkpoints are chosen by. */
  mainMetric(config: Config): string
}

type SharedParts<Config extends object, Record extends TaskRecord> = Pick<
  TaskDefinition<Config, Record, TaskExample, GeneratedPrediction>,
  | 'head'
  | 'maxLength'
  | 'headOptions'
  | 'statistics'
  | 'answerFields'
  | 'question'
  | 'prepare'
  | 'parsePrediction'
  | 'scorer'
  | 'mainMetric'
  | 'metricNames'
>

const withSystem = (question: ChatPrompt, system: string | undefined): ChatPrompt =>
  system === undefined || question.turns[0]?.role === 'system'
    ? question
    : { ...question, turns: [{ role: 'system', content: system }, ...question.turns] }

/** The encoder of a decoder or of an encoder-decoder, for records. */
interface RecordEncoder<Record> extends Omit<AnswerEncoder<TaskExample>, 'encode' | 'prompt'> {
  encode(record: Record, place: Place): TaskExample[]
  prompt(record: Record, place: Place): { ids: number[]; truncatedTokens: number }
  startId?: number
}

/** Prompt and answer share the positions of a decoder. */
const answerLength = ({ maxNewTokens }: GenerationSettings, facts: PrepareOptions['facts']): number => {
  const { causal = false, maxPositions = Number.POSITIVE_INFINITY } = facts ?? {}
  return maxNewTokens ?? (causal ? Math.min(256, Math.ceil(maxPositions / 2)) : 256)
}

const recordEncoder = <Config extends GenerationSettings, Record extends GenerativeRecord>(
  spec: GenerativeTaskSpec<Config, Record>,
  config: Config,
  ...[tokenizer, { maxLength = 512, facts }]: [Tokenizer, PrepareOptions]
): RecordEncoder<Record> => {
  invariant(facts !== undefined, 'a generative task gets the facts of the body.')
  const { template, lossOn, tooLong, labelSmoothing } = config
  const maxNewTokens = answerLength(config, facts)
  if (facts.causal) {
    const { maxPositions = Number.POSITIVE_INFINITY } = facts
    expectPositions(facts, maxLength)
    const maxPrompt = Math.min(maxLength, maxPositions - maxNewTokens)
    if (maxPrompt < 1)
      throw new ConfigError(
        `Expected less than ${maxPositions} for \`maxNewTokens\`, the positions of the model, got ${maxNewTokens}. Lower \`--settings.max-new-tokens\`, of \`predict\`: \`--max-new-tokens\`.`,
      )
    const encoder = createChatEncoder(tokenizer, { template, lossOn, tooLong, maxLength, maxPrompt, labelSmoothing })
    const questionOf = (record: Record) => withSystem(spec.chatPrompt(record, config), config.system)
    return {
      ...encoder,
      criterion: encoder.criterion,
      encode: (record, place) =>
        encoder.encode(questionOf(record), spec.chatAnswer?.(record) ?? record.references[0], place),
      prompt: (record, place) => encoder.prompt(questionOf(record), place),
    }
  }
  const { decoderStartTokenId: startId } = facts
  if (startId === undefined)
    throw new ConfigError('Expected a decoder or an encoder-decoder for a generative task, got an encoder.')
  if (template !== undefined)
    throw new ConfigError(
      'Expected no `template` for an encoder-decoder, got one, which would have no effect. Remove it.',
    )
  const encoder = createSeq2seqEncoder(tokenizer, { tooLong, maxLength, startId, labelSmoothing })
  return {
    ...encoder,
    criterion: encoder.criterion,
    startId,
    notes: [],
    encode: (record, place) => encoder.encode(spec.encoderInput(record, config), record.references[0], place),
    prompt: (record, place) => encoder.prompt(spec.encoderInput(record, config), place),
  }
}

/** The generation options of the settings. @throws ConfigError for sampling settings without effect, or with beams */
const generationOf = (config: GenerationSettings, facts: PrepareOptions['facts']): GenerationOptions => {
  const { numBeams, repetitionPenalty, noRepeatNgramSize, temperature, topP, samplingSeed } = config
  const found = { maxNewTokens: answerLength(config, facts), numBeams, repetitionPenalty, noRepeatNgramSize }
  if (temperature === undefined) {
    if (topP !== 1 || samplingSeed !== 0)
      throw new ConfigError('`topP` and `samplingSeed` need sampling: set `temperature`, or remove them.')
    return found
  }
  if (numBeams > 1)
    throw new ConfigError(`Expected \`temperature\` or \`numBeams\`, got ${temperature} and ${numBeams}. Choose one.`)
  return { ...found, sample: true, temperature, topP, seed: samplingSeed }
}

const prepareTask = <Config extends GenerationSettings, Record extends GenerativeRecord>(
  spec: GenerativeTaskSpec<Config, Record>,
  config: Config,
  ...[tokenizer, options]: [Tokenizer, PrepareOptions]
): GenerativeTask<Record, TaskExample, GeneratedPrediction> => {
  const encoder = recordEncoder(spec, config, tokenizer, options)
  const generation = generationOf(config, options.facts)
  const faults = new FaultCounter(config.onFault, 'settings')
  // Not a fault of the data: `tooLong` is set to drop them.
  const dropped = new FaultCounter('skip')
  /** Runs `work`; a ConfigError becomes a fault of the record, with file and line. */
  const withPlace = <Value>({ file, line }: TaskRecord, work: () => Value, otherwise: () => Value): Value => {
    try {
      return work()
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      faults.count('refused-by-template', error.message, { file, line })
      return otherwise()
    }
  }
  return {
    criterion: encoder.criterion,
    get skipped() {
      return { ...faults.skipped, ...dropped.skipped }
    },
    notes: encoder.notes,
    encode(record) {
      const { references, file, line } = record
      if (references.length === 0) return []
      const examples = withPlace(
        record,
        () => encoder.encode(record, { file, line }),
        () => undefined,
      )
      if (examples?.length === 0) dropped.count('too-long', 'Longer than maxLength.', { file, line })
      return examples ?? []
    },
    generation: {
      template: encoder.template,
      generation: {
        ...generation,
        eosTokenIds: encoder.eosTokenIds,
        ...(encoder.startId === undefined ? {} : { decoderStartTokenId: encoder.startId }),
      },
      prompt: (record) =>
        withPlace(
          record,
          () => encoder.prompt(record, record),
          () => {
            throw new DataError(
              'Expected a question that the chat template accepts, got another.',
              record.file,
              record.line,
            )
          },
        ),
      losses: (model, batch) => encoder.criterion.losses(model, batch),
      decode: ({ id }, generated, loss) => ({
        id,
        ...(generated === undefined ? {} : { answer: generated.text.trim(), ended: generated.endedByItself }),
        ...(loss === undefined ? {} : { nats: Math.round(loss.nats * 1e4) / 1e4, tokens: loss.tokens }),
      }),
    },
  }
}

export const generativeTaskParts = <Config extends GenerationSettings, Record extends GenerativeRecord>(
  spec: GenerativeTaskSpec<Config, Record>,
): SharedParts<Config, Record> => ({
  head: ['causal-lm', 'seq2seq-lm'],
  maxLength: 1024,
  answerFields: ['references', 'answer'],
  question(record, config) {
    const { turns, tools } = withSystem(spec.chatPrompt(record, config), config.system)
    // One question needs no names of who speaks.
    const spoken =
      turns.length === 1 && tools === undefined
        ? turns[0].content
        : turns.map((turn) => `${turn.role}: ${answerText(turn)}`).join('\n\n')
    return tools === undefined ? spoken : `tools: ${JSON.stringify(tools)}\n\n${spoken}`
  },
  statistics: recordsAlone,
  headOptions: () => ({}),
  mainMetric: spec.mainMetric,
  metricNames: ({ metrics }) => answerScoreNames(metrics),
  prepare: (tokenizer, config, options) => prepareTask(spec, config, tokenizer, options),
  parsePrediction(fields, { id }) {
    const { answer, prediction, text, ended, nats, tokens } = fields
    const given = answer ?? prediction ?? text
    if (typeof given !== 'string' && !(given === undefined && typeof nats === 'number'))
      throw new ConfigError(`Expected a text for \`answer\`, got ${show(given)}.`)
    return {
      id,
      ...(typeof given === 'string' ? { answer: given } : {}),
      ...(typeof ended === 'boolean' ? { ended } : {}),
      ...(typeof nats === 'number' && typeof tokens === 'number' ? { nats, tokens } : {}),
    }
  },
  scorer({ metrics, stemming }) {
    const scores = new AnswerScorer({ metrics, stemming })
    return {
      add({ references, file, line }, prediction) {
        if (references.length === 0)
          throw new DataError('Expected a record with an answer, got one without.', file, line)
        scores.add(references, prediction)
      },
      units: () => scores.units(),
      warnings: () => scores.warnings(),
    }
  },
})
