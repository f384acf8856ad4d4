// Plans one run: its own build and steps, without arithmetic and without the memory of tensors.
import { createRandom, parseConfig } from '../../core/index.ts'
import { buildModel, type ModelDefinition } from '../../models/index.ts'
import { type ObjectiveDefinition, objectives, type VocabularyFacts } from '../../objectives/index.ts'
import { createOptimizer } from '../../optim/index.ts'
import {
  dtypeFacts,
  type MemoryHolder,
  noteTensors,
  type Plan,
  type PlannedOperations,
  plan,
  type Tensor,
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
  runLength,
  type TrainingRun,
  takeBatch,
  trainedParameters,
  trainingSchema,
} from '../../training/index.ts'
import type { BuiltRun, CommonRecipe, RunKind } from '../engine/run-kind.ts'
import type { SharedData } from '../engine/shared-data.ts'

/** Memory and arithmetic of a run. */
export interface RunPlan {
  parameters: number
  trainedParameters: number
  /** Optimizer steps of the whole run; undefined for a budget of minutes. */
  steps?: number
  tokensPerStep: number
  flopsPerStep: number
  /** As a plain composition would compute them: without the savings of causal order, and nothing computed twice. */
  plainFlopsPerStep: number
  /** Of a run that makes its examples itself: the steps on those that it makes at once, and the FLOPs of making them. */
  rollouts?: { steps: number; flops: number }
  memory: {
    /** Largest memory of tensors. */
    peakBytes: number
    /** Together with freed blocks that are kept for reuse. */
    heldBytes: number
    /** Where the peak occurs. */
    phase: string
    operator: string
    /** What holds it, largest first. */
    holders: MemoryHolder[]
    phases: Plan<unknown>['phases']
  }
  operations: PlannedOperations[]
  /** Bytes on disk: checkpoints that are kept, and the model. */
  diskBytes: number
}

const bytesOf = (tensors: Iterable<Tensor>): number => {
  let bytes = 0
  for (const { size, dtype } of tensors) bytes += size * dtypeFacts(dtype).bytes
  return bytes
}

/** Bytes of the checkpoints that a run keeps, and of its model. */
const diskOf = ({ trainable, optimizer, weights, recipe }: BuiltRun): number => {
  const all = weights === undefined ? trainable.model.parameters().values() : trainable.parameters.values()
  const model = bytesOf(all)
  const kept = recipe.keep.last + (recipe.keep.best === undefined ? 0 : 1)
  return kept * (model + optimizer.stateBytes) + model
}

/** What the loop needs of a built run. */
export const trainingOf = (run: BuiltRun): TrainingRun => {
  const { trainable, stream, optimizer, average, learningRate, length, recipe } = run
  const state = initialState(recipe, trainable.model.facts.numLayers)
  return { trainable, stream, optimizer, average, settings: recipe, learningRate, length, state, device: 'cpu' }
}

/** Facts of a run that its build gives. */
interface BuiltFacts extends Pick<RunPlan, 'parameters' | 'trainedParameters' | 'steps' | 'diskBytes'> {
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

const factsOf = (run: BuiltRun): BuiltFacts => {
  const { trainable, length, stream, vocabulary } = run
  const { model, auxiliary, parameters, objective } = trainable
  return {
    parameters: model.parameterCount + (auxiliary?.parameterCount ?? 0),
    trainedParameters: [...parameters.values()].reduce((sum, { size }) => sum + size, 0),
    ...(length.timed ? {} : { steps: length.totalSteps(trainingOf(run).state) }),
    diskBytes: diskOf(run),
    base: {
      definition: model.definition,
      config: model.config,
      vocabulary,
      length: stream.online?.expectedTokens ?? objective.tokens(stream.example(0).example),
    },
  }
}

/** What a plan counted, for each of its steps. */
const summaryOf = (
  planned: Plan<Omit<PlannedSteps, 'tokensPerStep'>>,
  tokensPerStep?: number,
): Omit<RunPlan, keyof BuiltFacts> => {
  const { steps, tokens, fills } = planned.result
  const { peakBytes, heldBytes, phases, operations } = planned
  // A bounded plan takes a part of each step.
  const share = tokensPerStep === undefined ? 1 : (tokensPerStep * steps) / tokens
  type Count = 'flops' | 'plainFlops'
  const sum = (key: Count, wanted: (phase: string) => boolean) =>
    operations.reduce((total, one) => total + (wanted(one.phase) ? one[key] : 0), 0)
  const filled = (key: Count) => sum(key, (phase) => phase === fillPhase) / (fills?.count ?? 1)
  const perStep = (key: Count) =>
    (share * sum(key, (phase) => phase !== evaluationPhase && phase !== fillPhase)) / steps +
    filled(key) / (fills?.steps ?? 1)
  return {
    tokensPerStep: (share * tokens) / steps,
    flopsPerStep: perStep('flops'),
    plainFlopsPerStep: perStep('plainFlops'),
    ...(fills === undefined ? {} : { rollouts: { steps: fills.steps, flops: filled('flops') } }),
    memory: { peakBytes, heldBytes, ...planned.peak, phases },
    operations,
  }
}

/** What is cached on disk is computed: a plan's values must not get into a cache. */
const withoutCache = (recipe: CommonRecipe): CommonRecipe => {
  const { reference } = recipe as { reference?: object }
  return reference === undefined ? recipe : ({ ...recipe, reference: { ...reference, cache: false } } as CommonRecipe)
}

/** First steps of a run that are looked at, and those of them that are planned, as lengths vary. */
const [lookedSteps, variedSteps] = [64, 8]

/** Seconds after which no further step is planned: very deep models have less to gain. */
const mostSeconds = 2

/** How a run is planned. */
export interface PlanContext extends Omit<PlanExtent, 'largestOf'> {
  /** Data that the run shares with its plan. */
  shared?: SharedData
  signal?: AbortSignal
}

/**
 * Plans a run by its complete recipe. Reads its data; loads, allocates and computes nothing. Of a run that generates its own
 * examples, every answer has the most tokens that it may have.
 * @throws ConfigError for a run whose examples an environment makes
 */
export const planBuiltRun = async (
  kind: RunKind,
  recipe: CommonRecipe,
  { shared, signal, ...extent }: PlanContext = {},
): Promise<RunPlan & { base: PlannedBase }> => {
  let run: BuiltRun | undefined
  let facts: BuiltFacts | undefined
  try {
    const planned = await planSteps(
      async () => {
        run = await kind.build(withoutCache(recipe), { say: () => {}, shared, signal, planned: true, unrecorded: true })
        facts = factsOf(run)
        const training = trainingOf(run)
        const { evaluateLargest } = run
        return {
          ...training,
          ...(evaluateLargest && { evaluateLargest: () => evaluateLargest(training.state) }),
        } as PlannableRun
      },
      { steps: variedSteps, seconds: mostSeconds, ...extent, largestOf: lookedSteps },
    )
    return { ...facts!, ...summaryOf(planned, planned.result.tokensPerStep) }
  } finally {
    run?.close()
  }
}

/**
 * Plans one pass over the examples of a run without gradients, as features of a frozen base take it. The pass is that of a
 * run that trains the whole model.
 */
export const planFeatures = async (kind: RunKind, recipe: CommonRecipe): Promise<RunPlan & { base: PlannedBase }> => {
  let run: BuiltRun | undefined
  try {
    const planned = await plan(async () => {
      run = await kind.build({ ...recipe, variant: 'full', adapter: {} } as CommonRecipe, { say: () => {} })
      const { trainable, stream } = run
      const { microTokens, padded } = recipe.batch
      const { examples, tokens } = takeBatch(stream, trainable.objective.tokens, 0, { tokens: microTokens })
      trainable.model.requireGrad(false).eval()
      noteTensors('frozen weights', trainable.model.parameters().values())
      await evaluateValidation(trainable, stream, { examples: examples.length, microTokens, padded })
      return { facts: factsOf(run), examples: examples.length, tokens, steps: 1 }
    })
    const { facts, examples } = planned.result
    const batches = Math.ceil(run!.stream.perEpoch / examples)
    return { ...facts, trainedParameters: 0, steps: batches, diskBytes: 0, ...summaryOf(planned) }
  } finally {
    run?.close()
  }
}

/** The objective that a base is pretrained with. */
const objectiveOf = ({ definition, config }: PlannedBase): ObjectiveDefinition => {
  const facts = definition.facts(config)
  const type = facts.decoderStartTokenId !== undefined ? 'span-corruption' : facts.causal ? 'causal-lm' : 'masked-lm'
  return objectives[type] as ObjectiveDefinition
}

/** Plans a step of pretraining a model of the same architecture from scratch, over rows of one length. */
export const planPretraining = async (base: PlannedBase, length: number, tokens: number): Promise<RunPlan> => {
  const { definition, config, vocabulary } = base
  let facts: Pick<RunPlan, 'parameters' | 'trainedParameters' | 'diskBytes'> | undefined
  const planned = await planSteps(
    async () => {
      const { create, head, config: schema } = objectiveOf(base)
      const objective = create(schema.parse({}), { vocabulary, maxLength: length })
      const model = buildModel(definition, config, head).requireGrad(true)
      const parameters = trainedParameters(model)
      const settings = parseConfig(trainingSchema, { batch: { tokens }, budget: { steps: 1 } }, 'plan')
      const optimizer = createOptimizer(settings.optimizer, parameters)
      const size = model.parameterCount
      facts = { parameters: size, trainedParameters: size, diskBytes: 4 * size + 2 * (4 * size + optimizer.stateBytes) }
      const ids = ordinaryIds(vocabulary, objective.rows.length)
      const row = { ids, starts: [0], part: 0, endsDocument: true }
      const random = createRandom('plan')
      return {
        trainable: { model, objective, parameters },
        stream: {
          perEpoch: Number.POSITIVE_INFINITY,
          example: () => ({ example: objective.example(row, random, () => row), cut: 0 }),
        },
        optimizer,
        settings,
        learningRate: 1e-4,
        length: runLength(settings.budget, { examplesPerStep: 1, tokensPerStep: tokens, examplesPerEpoch: 1 }),
        state: initialState(settings, model.facts.numLayers),
        // The criterion's type of example is the objective's own, which its registry does not know.
      } as unknown as TrainingRun<never>
    },
    { steps: 1 },
  )
  return { ...facts!, ...summaryOf(planned) }
}

/** Ids of a row that are no special tokens. */
const ordinaryIds = ({ size, specialIds }: VocabularyFacts, length: number): Uint32Array => {
  let id = size - 1
  while (id > 0 && specialIds.has(id)) id--
  return new Uint32Array(length).fill(id)
}
