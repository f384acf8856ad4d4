// Builds a run that learns preferences from its recipe: base with adapter, encoded records, reference, criterion, optimizer. Writes nothing before the end.
import { findPreference } from '../../alignment/index.ts'
import { loadTokenizer, type ModelTokenizer } from '../../checkpoint/index.ts'
import type { ProcessGroup } from '../../distributed/index.ts'
import { type Criterion, vocabularyFacts } from '../../objectives/index.ts'
import {
  type CompletionEncoder,
  createCompletionEncoder,
  type TaskExample,
  type TaskRecord,
} from '../../tasks/index.ts'
import {
  type ExampleSource,
  evaluateLargest,
  evaluateValidation,
  type LoopState,
  type TrainableModel,
} from '../../training/index.ts'
import { type AdaptedBase, loadAdaptedBase, savedAs } from '../engine/adapted-base.ts'
import { type BaseFiles, findBase } from '../engine/base-files.ts'
import { evaluateEachEpoch, setOptimization } from '../engine/optimization.ts'
import { restoreFunctions } from '../engine/recipe-functions.ts'
import { type BuildContext, type BuiltRun, once } from '../engine/run-kind.ts'
import { hashesOf, readSplits, type SplitRecords, shuffledExamples } from '../examples/run-data.ts'
import { type AlignmentData, dataOf } from './data.ts'
import { encodeAnswers, encodingNotes, lengthsOf, noneFits } from './encode-answers.ts'
import { exportAligned, openJudge } from './export-aligned.ts'
import { type AlignObjective, findObjective, objectiveConfig } from './objectives.ts'
import type { AlignRecipe } from './recipe.ts'
import { checkReference, openReference } from './reference-model.ts'
import { learningRateOf, withoutDropout, writePromptFiles } from './trained-policy.ts'

/** What is read before the base is opened. */
export interface AlignInputs {
  recipe: AlignRecipe
  objective: AlignObjective
  data: AlignmentData
  files: BaseFiles
  tokenizer: ModelTokenizer
  records: SplitRecords<TaskRecord>
}

export interface EncodedRecords {
  encoder: CompletionEncoder
  train: TaskExample[]
  /** The record of each training example. */
  sources: TaskRecord[]
  /** In the order of `validationRecords`. */
  validation: TaskExample[]
  /** Those that were not dropped. */
  validationRecords: TaskRecord[]
  /** Whether prompts are conversations, which the chat template renders. */
  usesTemplate: boolean
  notes: string[]
}

const readInputs = async (recipe: AlignRecipe): Promise<AlignInputs> => {
  const objective = findObjective(recipe.objective)
  const data = dataOf(objective)
  const files = await findBase(recipe.base)
  const tokenizer = await loadTokenizer(recipe.tokenizer ?? files.tokenizer)
  const records = await readSplits(recipe, (path) => data.read(path, recipe.columns))
  return { recipe, objective, data, files, tokenizer, records }
}

const encodeRecords = (
  { recipe, data, tokenizer, records }: AlignInputs,
  { model, virtualTokens }: AdaptedBase['applied'],
): EncodedRecords => {
  const { template, system, tooLong } = recipe
  const lengths = lengthsOf(recipe, model, virtualTokens)
  const encoder = createCompletionEncoder(tokenizer, { template, system, tooLong, ...lengths })
  const train = encodeAnswers(data, encoder, records.train)
  const validation = encodeAnswers(data, encoder, records.validation)
  const usesTemplate = [...records.train, ...records.validation].some((one) => typeof data.promptOf(one) !== 'string')
  const notes = encodingNotes(encoder, lengths, {
    records: records.train.length + records.validation.length,
    columns: recipe.columns,
    path: recipe.data,
  })
  if (train.examples.length === 0) throw noneFits(data.noun, lengths, 'training')
  if (validation.examples.length === 0) throw noneFits(data.noun, lengths, 'validation')
  return {
    encoder,
    train: train.examples,
    sources: train.records,
    validation: validation.examples,
    validationRecords: validation.records,
    usesTemplate,
    notes,
  }
}

export const buildPreferences = async (recipe: AlignRecipe, context: BuildContext): Promise<BuiltRun> => {
  const restored = await restoreFunctions(recipe)
  // Shared with the plan, whose recipe is another one.
  const inputs: AlignInputs = { ...(await once(context, 'inputs', () => readInputs(recipe))), recipe }
  const { objective, data, files, tokenizer, records } = inputs
  const { applied, notes } = await loadAdaptedBase(recipe, { ...files, head: 'causal-lm', tokenizer })
  const encoded = await once(context, 'encoded', async () => encodeRecords(inputs, applied))
  // Answers are judged once, by the process that exports the model.
  const exports = context.group === undefined || context.group.first
  const judge = exports ? await openJudge(inputs, applied, (line) => void notes.push(line)) : undefined
  const definition = findPreference(objective.type)
  const all = () => [...encoded.train, ...encoded.validation].flatMap((example) => data.completions(example))
  const how = { microTokens: recipe.batch.microTokens, padded: recipe.batch.padded, device: recipe.device }
  const reference = definition.reference ? await openReference(recipe, applied, all, how, context) : undefined
  const settings = objectiveConfig(objective, recipe.settings)
  const criterion = definition.criterion(settings, { reference }) as Criterion
  const trainable: TrainableModel = {
    model: applied.model,
    objective: recipe.dropout ? criterion : withoutDropout(criterion),
    parameters: applied.trainable,
  }
  const stream: BuiltRun['stream'] = shuffledExamples(encoded.train, recipe.seed, (index) => encoded.sources[index])
  const learningRate = learningRateOf(recipe, objective, applied.inPlace)
  return {
    recipe: evaluateEachEpoch({ ...recipe, settings }, trainable, stream),
    tokenizer,
    tokenizerFiles: recipe.tokenizer,
    ...(encoded.usesTemplate ? { chatTemplate: encoded.encoder.template } : {}),
    vocabulary: vocabularyFacts(tokenizer),
    stream,
    ...setOptimization({ ...recipe, learningRate }, trainable, stream, { applied, group: context.group }),
    ...(reference?.weights && { besideWeights: reference.weights }),
    ...savedAs(recipe, files.base, applied, (folder) =>
      writePromptFiles(folder, { recipe, applied, tokenizer, prompts: encoded }),
    ),
    enoughSteps: 10,
    hashes: await once(context, 'hashes', () =>
      hashesOf(records.files, files.base, { start: files.start, stack: recipe.stack }),
    ),
    notes: [
      ...restored,
      ...notes,
      ...records.notes,
      ...encoded.notes,
      ...(reference === undefined ? [] : [`Reference model: ${reference.summary}.`]),
    ],
    check: async () =>
      reference === undefined
        ? []
        : checkReference(applied, reference, all().slice(0, 8), {
            ...how,
            exact: recipe.reference.precision === undefined,
          }),
    ...evaluationOf(recipe, trainable, encoded.validation, { mainMetric: data.mainMetric, group: context.group }),
    exportModel: (folder) => exportAligned({ inputs, encoded, applied, judge }, folder),
    close: () => void judge?.close(),
  }
}

/** The criterion's loss and metrics on the validation records, as one global batch. */
const evaluationOf = (
  { batch, device }: AlignRecipe,
  trainable: TrainableModel,
  validation: readonly TaskExample[],
  { mainMetric, group }: { mainMetric: string; group: ProcessGroup | undefined },
): Required<Pick<BuiltRun, 'evaluate' | 'evaluateLargest' | 'metrics'>> => {
  const source = (examples: readonly TaskExample[]): ExampleSource<unknown> => ({
    perEpoch: examples.length,
    example: (position) => ({ example: examples[position], cut: 0 }),
  })
  const optionsOf = ({ length: examples }: readonly TaskExample[], microTokens: number) => ({
    ...{ examples, microTokens, padded: batch.padded, device },
  })
  const measure = (examples: readonly TaskExample[], microTokens: number, together?: ProcessGroup) =>
    evaluateValidation(trainable, source(examples), { ...optionsOf(examples, microTokens), group: together })
  return {
    metrics: {
      known: ['loss', mainMetric],
      measure: async () => Object.keys(await measure(validation.slice(0, 2), batch.microTokens)),
    },
    evaluate: ({ microTokens }: Pick<LoopState, 'microTokens'>) => measure(validation, microTokens, group),
    evaluateLargest: ({ microTokens }: Pick<LoopState, 'microTokens'>) =>
      evaluateLargest(trainable, source(validation), optionsOf(validation, microTokens)),
  }
}
