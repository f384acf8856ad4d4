// Plans one run: its own build and steps, without arithmetic and without the memory of tensors.
import { ConfigError, createRandom, parseConfig } from '../../core/index.ts'
import type { PlannedGroup, ProcessGroup } from '../../distributed/index.ts'
import { buildModel, type ModelDefinition } from '../../models/index.ts'
import { type ObjectiveDefinition, objectives, type VocabularyFacts } from '../../objectives/index.ts'
import { ShardedOptimizer } from '../../optim/index.ts'
import {
  type MemoryHolder,
  noteTensors,
  type Plan,
  type PlannedOperations,
  plan,
  totalBytes,
} from '../../tensor/index.ts'
import {
  evaluateValidation,
  evaluationPhase,
  fillPhase,
  initialState,
  type PlanExtent,
  type PlannableRun,
  type PlannedSteps,
  planSteps,
  type StepMark,
  type TrainingRun,
  type TrainingSettings,
  takeBatch,
  trainedParameters,
  trainingSchema,
} from '../../training/index.ts'
import { placeModel } from '../engine/adapted-base.ts'
import { setOptimization } from '../engine/optimization.ts'
import type { BuiltRun, CommonRecipe, RunKind, SharedData } from '../engine/run-kind.ts'
import { expectRows } from '../engine/run-limits.ts'
import { collectivesOf, type ProcessPlan, type Timeline, timelineOf } from './step-time.ts'

/** Memory and arithmetic of a run. */
export interface RunPlan {
  parameters: number
  trainedParameters: number
  /** Optimizer steps of the whole run; undefined for a budget of minutes. */
  steps?: number
  tokensPerStep: number
  /** Of all processes together. */
  flopsPerStep: number
  /** What one of several processes takes for a step; undefined for a run in one process. Memory is that of this process. */
  processes?: ProcessPlan
  /** What this process does in some steps, and when: its time at any speed follows from it. */
  timeline?: Timeline
  /** As a plain composition would compute them: without the savings of causal order, and nothing computed twice. */
  plainFlopsPerStep: number
  /** Of a run that makes its examples itself: the steps on those that it makes at once, and the FLOPs of making them. */
  rollouts?: { steps: number; flops: number }
  memory: {
    /** Largest memory of tensors. */
    peakBytes: number
    /** Together with freed blocks that are kept for reuse; for a card with what its allocator and CUDA's context take. */
    heldBytes: number
    /** Where the peak occurs. */
    phase: string
    operator: string
    /** What holds it, largest first. */
    holders: MemoryHolder[]
    phases: Plan<unknown>['phases']
  }
  operations: PlannedOperations[]
  /** Bytes on disk: checkpoints that are kept, and the model; undefined for features, whose files are small or in the cache. */
  diskBytes?: number
}

const greatestDivisor = (a: number, b: number): number => (b === 0 ? a : greatestDivisor(b, a % b))

/**
 * Checkpoints that a run keeps at its end: the newest, the best, and those at multiples of `keep.every`. Of runs and
 * checkpoints by time, whose steps are not known, those of `keep.every` are not counted.
 */
export const keptCheckpoints = (
  { keep, checkpoint }: Pick<TrainingSettings, 'keep' | 'checkpoint'>,
  steps: number | undefined,
): number => {
  const best = keep.best === undefined ? 0 : 1
  const { steps: apart, ...others } = checkpoint
  const isKnown = steps !== undefined && Object.values(others).every((value) => value === undefined)
  if (!isKnown) return keep.last + best
  // The last step has a checkpoint, too. Each best one is written besides, at any evaluation.
  const written = apart === undefined ? 1 : Math.ceil(steps / apart)
  const newestKept = Math.min(written, keep.last)
  if (keep.every === undefined || apart === undefined) return newestKept + best
  const every = (keep.every / greatestDivisor(keep.every, apart)) * apart
  const newest = Array.from({ length: newestKept }, (_, i) => (i === 0 ? steps : (written - i) * apart))
  const besides = newest.filter((step) => step % keep.every! !== 0).length
  return Math.floor(steps / every) + (steps % apart !== 0 && steps % keep.every === 0 ? 1 : 0) + besides + best
}

/** Bytes of the checkpoints that a run keeps, and of its model. */
const diskOf = (
  { trainable, optimizer, average, weights, recipe }: BuiltRun,
  steps: number | undefined,
  group: PlannedGroup | undefined,
): number => {
  const all = weights === undefined ? trainable.model.parameters().values() : trainable.parameters.values()
  const model = totalBytes(all)
  // A checkpoint has the parts of all processes.
  const state = optimizer.stateBytes * (optimizer instanceof ShardedOptimizer ? (group?.size ?? 1) : 1)
  const averaged = average === undefined ? 0 : totalBytes(trainable.parameters.values())
  return keptCheckpoints(recipe, steps) * (model + state + averaged) + model
}

/** What the loop needs of a built run. */
export const trainingOf = (run: BuiltRun, group?: ProcessGroup): TrainingRun => {
  const { trainable, stream, optimizer, average, shardedWeights, learningRate, length, recipe } = run
  const state = initialState(recipe, trainable.model.facts.numLayers)
  const parts = { trainable, stream, optimizer, average, shardedWeights, settings: recipe, learningRate, length, state }
  return { ...parts, device: recipe.device, ...(group && { group }) }
}

interface BuiltFacts extends Pick<RunPlan, 'parameters' | 'trainedParameters' | 'steps'> {
  diskBytes: number
  base: PlannedBase
}

/** The model of a planned run, without its weights. */
export interface PlannedBase {
  definition: ModelDefinition
  config: object
  vocabulary: VocabularyFacts
  /** Tokens of a typical example. */
  length: number
}

const factsOf = (run: BuiltRun, group?: PlannedGroup): BuiltFacts => {
  const { trainable, length, stream, vocabulary } = run
  const { model, auxiliary, parameters, objective } = trainable
  const steps = length.timed ? undefined : length.totalSteps(trainingOf(run).state)
  return {
    parameters: model.parameterCount + (auxiliary?.parameterCount ?? 0),
    trainedParameters: [...parameters.values()].reduce((sum, { size }) => sum + size, 0),
    ...(steps === undefined ? {} : { steps }),
    diskBytes: diskOf(run, steps, group),
    base: {
      definition: model.definition,
      config: model.config,
      vocabulary,
      length: stream.online?.expectedTokens ?? objective.tokens(stream.example(0).example),
    },
  }
}

/** Steps or a pass that a plan took. Without means of whole steps, the steps stand for all. */
type CountedSteps = Pick<PlannedSteps, 'steps' | 'tokens' | 'fills'> & Partial<PlannedSteps>

/** What a plan counted, for each of its steps: FLOPs of all processes together, and memory of the process of the plan. */
const summaryOf = (
  planned: Plan<CountedSteps, StepMark>,
  { group, card = false }: Pick<PlanContext, 'group' | 'card'> = {},
): Omit<RunPlan, keyof BuiltFacts> => {
  const { steps, tokens, ownTokens = tokens, tokensPerStep = tokens / steps, fills } = planned.result
  const { own = { rows: 0, tokens: tokensPerStep } } = planned.result
  const { peakBytes, phases, operations } = planned
  const heldBytes = card ? planned.cardBytes() : planned.heldBytes
  // A bounded plan takes a part of each step.
  const share = (own.tokens * steps) / ownTokens
  // The others compute as much for a token as this process.
  const ratio = tokensPerStep / own.tokens
  type Count = 'flops' | 'plainFlops'
  const sum = (key: Count, wanted: (phase: string) => boolean) =>
    operations.reduce((total, one) => total + (wanted(one.phase) ? one[key] : 0), 0)
  const filled = (key: Count) => sum(key, (phase) => phase === fillPhase) / (fills?.count ?? 1)
  const perStep = (key: Count) =>
    (share * sum(key, (phase) => phase !== evaluationPhase && phase !== fillPhase)) / steps +
    filled(key) / (fills?.steps ?? 1)
  const flopsPerStep = perStep('flops')
  return {
    tokensPerStep,
    flopsPerStep: ratio * flopsPerStep,
    plainFlopsPerStep: ratio * perStep('plainFlops'),
    ...(group && sharedStep(timelineOf(planned.marks, share), group, { ...own, flopsPerStep })),
    ...(fills === undefined ? {} : { rollouts: { steps: fills.steps, flops: ratio * filled('flops') } }),
    memory: { peakBytes, heldBytes, ...planned.peak, phases },
    operations,
  }
}

/** A step as one process of several takes it. */
const sharedStep = (
  timeline: Timeline,
  { size, rank, library }: PlannedGroup,
  own: Pick<ProcessPlan, 'rows' | 'tokens' | 'flopsPerStep'>,
): Required<Pick<RunPlan, 'processes' | 'timeline'>> => ({
  processes: { count: size, rank, library, ...own, collectives: collectivesOf(timeline, { size, library }) },
  timeline,
})

const plannedPrecision = ({ precision }: Pick<TrainingSettings, 'precision'>): TrainingSettings['precision'] =>
  precision === 'float16' ? 'bfloat16' : precision

/**
 * The recipe as it is planned: on the CPU, whose kernels a plan counts, and which has bfloat16 in place of float16, of the same size. What is
 * cached on disk is computed, as a plan's values must not get into a cache.
 */
const plannedRecipe = (recipe: CommonRecipe): CommonRecipe => {
  const { reference } = recipe as { reference?: object }
  const placed = { ...recipe, precision: plannedPrecision(recipe), device: 'cpu' } as CommonRecipe
  return reference === undefined ? placed : ({ ...placed, reference: { ...reference, cache: false } } as CommonRecipe)
}

export const plannedElsewhere = (device: string): string =>
  `Memory is planned with the kernels of the CPU: on ${device} operators are composed, which takes more.`

/** First steps of a run that are looked at, and those of them that are planned, as lengths vary. */
const [lookedSteps, variedSteps] = [64, 32]

/** Seconds after which no further step is planned: very deep models have less to gain. */
const mostSeconds = 2

export interface PlanContext extends Omit<PlanExtent, 'largestOf'> {
  shared?: SharedData
  signal?: AbortSignal | undefined
  /** The processes that share each batch: one of them is planned. */
  group?: PlannedGroup | undefined
  card?: boolean | undefined
  /** Memory of the machines, all together, in bytes, where they are not this one. */
  memoryBytes?: number | undefined
}

/** @throws ConfigError for rollouts of another process than the first one, which has the most prompts */
const expectOwnExamples = ({ stream }: BuiltRun, { rank }: PlannedGroup): void => {
  if (stream.online === undefined || rank === 0) return
  throw new ConfigError(`Expected 0 for \`rank\` of a run that writes its own answers, got ${rank}. Remove it.`)
}

/**
 * Plans a run by its complete recipe. Reads its data; loads, allocates and computes nothing. Of a run that generates its own
 * examples, every answer has the most tokens that it may have.
 * @throws ConfigError for a run whose examples an environment makes
 */
export const planBuiltRun = async (
  kind: RunKind,
  recipe: CommonRecipe,
  { shared, signal, group, card, memoryBytes, ...extent }: PlanContext = {},
): Promise<RunPlan & { base: PlannedBase }> => {
  if (group !== undefined) expectRows(recipe, group)
  let run: BuiltRun | undefined
  let facts: BuiltFacts | undefined
  try {
    const planned = await planSteps(
      async () => {
        const context = { say: () => {}, shared, signal, planned: true, unrecorded: true, memoryBytes }
        run = await kind.build(plannedRecipe(recipe), { ...context, ...(group && { group }) })
        facts = factsOf(run, group)
        if (group !== undefined) expectOwnExamples(run, group)
        const training = trainingOf(run, group)
        const { lossScale } = initialState(recipe, run.trainable.model.facts.numLayers)
        if (lossScale !== undefined) training.state.lossScale = lossScale
        const { evaluateLargest, besideWeights } = run
        return {
          ...training,
          besideWeights,
          ...(evaluateLargest && { evaluateLargest: () => evaluateLargest(training.state) }),
        } as PlannableRun
      },
      { steps: variedSteps, seconds: mostSeconds, ...extent, largestOf: lookedSteps },
    )
    return { ...facts!, ...summaryOf(planned, { group, card }) }
  } finally {
    run?.close()
  }
}

/**
 * Plans one pass over the examples of a run without gradients, as features of a frozen base take it. The pass is that of a
 * run that trains the whole model.
 */
export const planFeatures = async (
  kind: RunKind,
  recipe: CommonRecipe,
  { card, memoryBytes }: Pick<PlanContext, 'card' | 'memoryBytes'> = {},
): Promise<RunPlan & { base: PlannedBase }> => {
  let run: BuiltRun | undefined
  try {
    const planned = await plan(async () => {
      run = await kind.build({ ...plannedRecipe(recipe), variant: 'full', adapter: {} } as CommonRecipe, {
        ...{ say: () => {}, memoryBytes },
      })
      const { trainable, stream } = run
      const { microTokens, padded } = recipe.batch
      // A batch may be longer than the data, of which each example is there once.
      const taken = takeBatch(stream, trainable.objective.tokens, 0, { tokens: microTokens })
      const examples = taken.examples.slice(0, stream.perEpoch)
      const tokens = examples.reduce<number>((sum, example) => sum + trainable.objective.tokens(example), 0)
      trainable.model.requireGrad(false).eval()
      noteTensors('frozen weights', trainable.model.parameters().values())
      await evaluateValidation(trainable, stream, { examples: examples.length, microTokens, padded })
      return { facts: factsOf(run), examples: examples.length, tokens, steps: 1 }
    })
    const { facts, examples } = planned.result
    const { diskBytes: _, ...others } = facts
    // Training and validation records both become features.
    const records = run!.stream.perEpoch + (run!.validationRecords ?? 0)
    const steps = Math.ceil(records / examples)
    const summary = summaryOf(planned, { card })
    // The last batch is smaller.
    const share = records / examples / steps
    return {
      ...others,
      ...summary,
      trainedParameters: 0,
      steps,
      tokensPerStep: share * summary.tokensPerStep,
      flopsPerStep: share * summary.flopsPerStep,
      plainFlopsPerStep: share * summary.plainFlopsPerStep,
    }
  } finally {
    run?.close()
  }
}

const objectiveOf = ({ definition, config }: PlannedBase): ObjectiveDefinition => {
  const facts = definition.facts(config)
  const type = facts.decoderStartTokenId !== undefined ? 'span-corruption' : facts.causal ? 'causal-lm' : 'masked-lm'
  return objectives[type] as ObjectiveDefinition
}

/** Rows of a step of pretraining for each process. */
const pretrainingRows = 16

/** Micro-batches of a step of pretraining that are planned: more take the same memory. */
const pretrainingMicroBatches = 3

/** The rows of a step of pretraining, and their length. */
export interface PretrainingBatch {
  length: number
  /** Rows of all processes together (default: 16 for each). */
  sequences?: number | undefined
  /** Tokens per forward pass (default: as in training). */
  microTokens?: number | undefined
}

/** Plans a step of pretraining a model of the same architecture from scratch, over rows of one length, in a precision. */
export const planPretraining = async (
  base: PlannedBase,
  { length, microTokens, ...asked }: PretrainingBatch,
  {
    group,
    card,
    shard = 'none',
    precision = 'float32',
  }: Pick<PlanContext, 'group' | 'card'> & Partial<Pick<TrainingSettings, 'shard' | 'precision'>> = {},
): Promise<RunPlan> => {
  const { definition, config, vocabulary } = base
  const sequences = Math.max(asked.sequences ?? pretrainingRows * (group?.size ?? 1), group?.size ?? 1)
  let facts: Pick<RunPlan, 'parameters' | 'trainedParameters' | 'diskBytes'> | undefined
  const planned = await planSteps(
    async () => {
      const { create, head, config: schema } = objectiveOf(base)
      const objective = create(schema.parse({}), { vocabulary, maxLength: length })
      const model = buildModel(definition, config, head).requireGrad(true)
      const placed = { precision: plannedPrecision({ precision }), device: 'cpu' }
      placeModel(model, placed)
      const parameters = trainedParameters(model)
      const common = {
        batch: { sequences, microTokens },
        budget: { steps: 1 },
        shard,
        precision: placed.precision,
      }
      const settings = parseConfig(trainingSchema, common, 'plan')
      const size = model.parameterCount
      const ids = ordinaryIds(vocabulary, objective.rows.length)
      const row = { ids, starts: [0], part: 0, endsDocument: true }
      const random = createRandom('plan')
      const stream = {
        perEpoch: Number.POSITIVE_INFINITY,
        example: () => ({ example: objective.example(row, random, () => row), cut: 0 }),
      }
      const recipe = { ...settings, command: 'pretrain', out: '', device: 'cpu' }
      // The criterion's type of example is the objective's own, which its registry does not know.
      const trainable = { model, objective, parameters } as unknown as TrainingRun['trainable']
      const optimization = setOptimization(recipe, trainable, stream, { group })
      const stateBytes = optimization.optimizer.stateBytes * (shard === 'none' ? 1 : (group?.size ?? 1))
      facts = { parameters: size, trainedParameters: size, diskBytes: 4 * size + 2 * (4 * size + stateBytes) }
      return {
        ...optimization,
        stream,
        settings,
        state: initialState(settings, model.facts.numLayers),
        ...(group && { group }),
        // As above.
      } as unknown as TrainingRun<never>
    },
    { steps: 1, microBatches: pretrainingMicroBatches },
  )
  return { ...facts!, ...summaryOf(planned, { group, card }) }
}

/** Ids of a row that are no special tokens. */
const ordinaryIds = ({ size, specialIds }: VocabularyFacts, length: number): Uint32Array => {
  let id = size - 1
  while (id > 0 && specialIds.has(id)) id--
  return new Uint32Array(length).fill(id)
}
