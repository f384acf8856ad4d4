// What every task that is answered by writing has in common: examples and prompts for decoders and for encoders with a decoder, what is
// made of the written text, and its scores. A task says what it asks and what is right. Knows no task.
import { ConfigError, DataError, invariant, show } from '../../core/index.ts'
import type { GenerationOptions } from '../../generation/index.ts'
import { expectPositions } from '../learning/max-length.ts'
import { FaultCounter, type Place } from '../records/read-report.ts'
import type { GenerativeTask, PrepareOptions, TaskDefinition, TaskExample, TaskRecord } from '../task.ts'
import { answerScoreNames, type GeneratedPrediction, generatedPrediction, scoreAnswers } from './answer-scores.ts'
import { type AnswerEncoder, type ChatPrompt, createChatEncoder } from './chat-encoder.ts'
import type { GenerationSettings } from './generation-fields.ts'
import { createSeq2seqEncoder } from './seq2seq-encoder.ts'

/** A record with what is right: several answers, the first of which is learnt; none where it is not known. */
export interface GenerativeRecord extends TaskRecord {
  references: readonly string[]
}

export interface GenerativeTaskSpec<Config extends GenerationSettings, Record extends GenerativeRecord> {
  /** For decoders: the turns up to the question. */
  chatPrompt(record: Record, config: Config): ChatPrompt
  /** For encoders: the question as one text. */
  encoderInput(record: Record, config: Config): string
  /** The metric that checkpoints are chosen by. */
  mainMetric(config: Config): string
}

type SharedParts<Config extends object, Record extends TaskRecord> = Pick<
  TaskDefinition<Config, Record, TaskExample, GeneratedPrediction>,
  'head' | 'maxLength' | 'headOptions' | 'prepare' | 'parsePrediction' | 'score' | 'mainMetric' | 'metricNames'
>

const withSystem = (question: ChatPrompt, system: string | undefined): ChatPrompt =>
  system === undefined || question.turns[0]?.role === 'system'
    ? question
    : { ...question, turns: [{ role: 'system', content: system }, ...question.turns] }

/** What both forms give, of records. */
interface RecordEncoder<Record> extends Omit<AnswerEncoder<TaskExample>, 'encode' | 'prompt'> {
  encode(record: Record, place: Place): TaskExample[]
  prompt(record: Record, place: Place): { ids: number[]; cut: number }
  startId?: number
}

const recordEncoder = <Config extends GenerationSettings, Record extends GenerativeRecord>(
  spec: GenerativeTaskSpec<Config, Record>,
  config: Config,
  ...[tokenizer, { maxLength = 512, facts }]: [Parameters<typeof createChatEncoder>[0], PrepareOptions]
): RecordEncoder<Record> => {
  invariant(facts !== undefined, 'a task that writes is told what the body is.')
  const { template, learn, tooLong, maxNewTokens } = config
  if (facts.causal) {
    const { maxPositions = Number.POSITIVE_INFINITY } = facts
    expectPositions(facts, maxLength)
    const maxPrompt = Math.min(maxLength, maxPositions - maxNewTokens)
    if (maxPrompt < 1)
      throw new ConfigError(
        `Expected fewer than ${maxPositions} tokens, all that the model has positions for, for \`maxNewTokens\`, got ${maxNewTokens}. Lower it.`,
      )
    const form = createChatEncoder(tokenizer, { template, learn, tooLong, maxLength, maxPrompt })
    const questionOf = (record: Record) => withSystem(spec.chatPrompt(record, config), config.system)
    return {
      ...form,
      criterion: form.criterion as unknown as RecordEncoder<Record>['criterion'],
      encode: (record, place) => form.encode(questionOf(record), record.references[0], place),
      prompt: (record, place) => form.prompt(questionOf(record), place),
    }
  }
  const { decoderStartTokenId: startId } = facts
  if (startId === undefined)
    throw new ConfigError('Expected a decoder, or an encoder with a decoder, to write answers, got an encoder alone.')
  if (template !== undefined)
    throw new ConfigError(
      'Expected no `template` for an encoder with a decoder, got one. It would have no effect; remove it.',
    )
  const form = createSeq2seqEncoder(tokenizer, { tooLong, maxLength, startId })
  return {
    ...form,
    criterion: form.criterion as unknown as RecordEncoder<Record>['criterion'],
    startId,
    notes: [],
    encode: (record, place) => form.encode(spec.encoderInput(record, config), record.references[0], place),
    prompt: (record, place) => form.prompt(spec.encoderInput(record, config), place),
  }
}

/** @throws ConfigError for settings of drawing that have no effect, or that beams exclude */
const generationOf = ({
  maxNewTokens,
  numBeams,
  repetitionPenalty,
  uniqueNgramSize,
  temperature,
  topP,
  drawSeed,
}: GenerationSettings): GenerationOptions => {
  const found = { maxNewTokens, numBeams, repetitionPenalty, noRepeatNgramSize: uniqueNgramSize }
  if (temperature === undefined) {
    if (topP !== 1 || drawSeed !== 0)
      throw new ConfigError(
        'Expected a `temperature` beside `topP` and `drawSeed`, got none: nothing is drawn without it. Set it, or remove them.',
      )
    return found
  }
  if (numBeams > 1)
    throw new ConfigError(`Expected \`temperature\` or \`numBeams\`, got ${temperature} and ${numBeams}. Choose one.`)
  return { ...found, sample: true, temperature, topP, seed: drawSeed }
}

/** The parts of a task that all such tasks share. */
export const generativeTaskParts = <Config extends GenerationSettings, Record extends GenerativeRecord>(
  spec: GenerativeTaskSpec<Config, Record>,
): SharedParts<Config, Record> => ({
  head: ['causal-lm', 'seq2seq-lm'],
  maxLength: 1024,
  headOptions: () => ({}),
  mainMetric: spec.mainMetric,
  metricNames: ({ metrics }) => answerScoreNames(metrics),
  prepare(tokenizer, config, options): GenerativeTask<Record, TaskExample, GeneratedPrediction> {
    const form = recordEncoder(spec, config, tokenizer, options)
    const generation = generationOf(config)
    const faults = new FaultCounter(config.onFault)
    // Nobody's fault: this is what `tooLong` asks for.
    const dropped = new FaultCounter('skip')
    /** What is wrong with one record is said with its place, and counted where such ones are passed over. */
    const placed = <Value>({ file, line }: TaskRecord, work: () => Value, otherwise: () => Value): Value => {
      try {
        return work()
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error
        faults.fault({ reason: 'refused-by-template', message: error.message }, { file, line })
        return otherwise()
      }
    }
    return {
      criterion: form.criterion,
      get skipped() {
        return { ...faults.skipped, ...dropped.skipped }
      },
      notes: form.notes,
      encode(record) {
        const { references, file, line } = record
        if (references.length === 0) return []
        const examples = placed(
          record,
          () => form.encode(record, { file, line }),
          () => undefined,
        )
        if (examples?.length === 0)
          dropped.fault({ reason: 'too-long', message: 'Longer than maxLength.' }, { file, line })
        return examples ?? []
      },
      generation: {
        template: form.template,
        generation: {
          ...generation,
          eosTokenIds: form.eosTokenIds,
          ...(form.startId === undefined ? {} : { decoderStartTokenId: form.startId }),
        },
        prompt: (record) =>
          placed(
            record,
            () => form.prompt(record, record),
            () => {
              throw new DataError(
                'Expected a question that the chat template takes, got another.',
                record.file,
                record.line,
              )
            },
          ),
        losses: (model, batch) => form.criterion.losses(model, batch),
        decode: ({ id }, written, loss) => generatedPrediction(id, written?.text.trim(), written?.endedByItself, loss),
      },
    }
  },
  parsePrediction(fields, { id }) {
    const { answer, prediction, text, ended, nats, tokens } = fields
    const said = answer ?? prediction ?? text
    if (typeof said !== 'string' && !(said === undefined && typeof nats === 'number'))
      throw new ConfigError(`Expected a text for \`answer\`, got ${show(said)}.`)
    return {
      id,
      ...(typeof said === 'string' ? { answer: said } : {}),
      ...(typeof ended === 'boolean' ? { ended } : {}),
      ...(typeof nats === 'number' && typeof tokens === 'number' ? { nats, tokens } : {}),
    }
  },
  score(records, predictions, { metrics, stemming }) {
    for (const { references, file, line } of records)
      if (references.length === 0) throw new DataError('Expected records with an answer, got one without.', file, line)
    return scoreAnswers(
      records.map(({ references }) => references),
      predictions,
      { metrics, stemming },
    )
  },
})
