// Refuses before the first step what cannot be trained: a batch, or a model, that this machine's memory or the memory budget cannot hold, and
// processes that would not train the same.
import { totalmem } from 'node:os'
import { ConfigError, formatBytes, formatCount, OutOfMemoryError } from '../../core/index.ts'
import { type ProcessGroup, programFacts, shortHash } from '../../distributed/index.ts'
import { deviceMemory, memoryStatistics, type Tensor } from '../../tensor/index.ts'
import type { BuiltRun, CommonRecipe } from './run-kind.ts'

/** The memory of the machine, or the limit of the container that the process runs in. */
export const machineMemory = (): number => {
  const limit = process.constrainedMemory?.() ?? 0
  return limit > 0 && limit < totalmem() ? limit : totalmem()
}

/** Token ids, labels and lengths of an example, and what JavaScript adds to them. */
const exampleBytes = (tokens: number): number => 12 * tokens + 300

/** A number with two digits, rounded down. */
const roundDown = (value: number): number => {
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(Math.max(1, value))) - 1)
  return Math.max(1, Math.floor(value / unit) * unit)
}

/** @throws ConfigError for a step whose examples alone fill the memory */
export const expectBatchFits = (
  { sequences, tokens }: { sequences?: number; tokens?: number },
  perExample: number,
  available = machineMemory(),
): void => {
  const examples = sequences ?? Math.ceil((tokens ?? 0) / perExample)
  const needed = examples * exampleBytes(perExample)
  if (needed <= available / 2) return
  const most = available / 2 / exampleBytes(perExample)
  const [name, value, limit] =
    sequences === undefined
      ? ['batch.tokens', tokens ?? 0, roundDown(most * perExample)]
      : ['batch.sequences', sequences, roundDown(most)]
  throw new ConfigError(
    `Expected at most ${limit} for \`${name}\`, got ${value}: the examples of one step would take about ${formatBytes(needed)}, and this machine has ${formatBytes(available)}.`,
  )
}

export interface ModelSize {
  hiddenSize: number
  numLayers: number
  vocabSize: number
  intermediateSize?: number
  /** Width of the token embeddings (default: hiddenSize). */
  embeddingSize?: number
  /** Distinct layers, where layers share their weights (default: numLayers). */
  layerGroups?: number
}

/** A lower bound of the parameters: embeddings, attention with one group of keys and values, and an ungated feed-forward block. */
export const leastParameters = ({
  hiddenSize,
  numLayers,
  vocabSize,
  intermediateSize = 0,
  embeddingSize = hiddenSize,
  layerGroups = numLayers,
}: ModelSize): number =>
  vocabSize * embeddingSize +
  Math.min(layerGroups, numLayers) * (2 * hiddenSize ** 2 + 2 * hiddenSize * intermediateSize)

/** float32 weights and their gradients; the optimizer's state comes on top. */
const parameterBytes = 8

/**
 * @param settings of the recipe that decide the size, from the one that it has; each gives the size for a smaller value
 * @param planned memory of the machines of a plan, in place of this machine's
 * @throws ConfigError for a model whose weights and gradients alone fill the memory
 */
export const expectModelFits = (
  size: ModelSize,
  setting: { name: string; value: number; sizeOf(value: number): ModelSize },
  planned?: number,
): void => {
  const bytesOf = (one: ModelSize) => parameterBytes * leastParameters(one)
  const needed = bytesOf(size)
  const available = planned ?? machineMemory()
  if (needed <= available) return
  let fitting = setting.value
  while (fitting > 0 && bytesOf(setting.sizeOf(fitting)) > available) fitting--
  const remedy = fitting > 0 ? `Set \`${setting.name}\` to ${fitting} or less.` : 'Choose a smaller preset or width.'
  throw new ConfigError(
    `Expected a model that fits in memory, got ${setting.value} for \`${setting.name}\`: at least ${formatCount(leastParameters(size))} parameters, whose weights and gradients take ${formatBytes(needed)}, and ${planned === undefined ? 'this machine has' : 'there are'} ${formatBytes(available)}. ${remedy}`,
  )
}

const budgetRemedy = 'Raise `memoryBudget`, or choose a smaller model or a variant that trains less.'

/** The error of a model that does not fit in the memory budget; other errors unchanged. */
export const explainBudget = (error: unknown, memoryBudget: number | undefined): unknown =>
  memoryBudget === undefined || !(error instanceof OutOfMemoryError)
    ? error
    : new ConfigError(
        `Expected a \`memoryBudget\` that the model fits in, got ${formatBytes(memoryBudget)}. ${budgetRemedy}`,
      )

/**
 * Checks the budget against what is allocated before the first step (weights, optimizer state) and the gradients.
 * @throws ConfigError for a budget that no micro-batch could stay within
 */
export const expectBudgetFits = (memoryBudget: number | undefined, gradients: number, device: string): void => {
  const { inUse } = deviceMemory(device) ?? memoryStatistics()
  const needed = inUse + gradients
  if (memoryBudget === undefined || needed < memoryBudget) return
  throw new ConfigError(
    `Expected more than ${formatBytes(needed)} for \`memoryBudget\`, which weights, gradients and optimizer state take, got ${formatBytes(memoryBudget)}. ${budgetRemedy}`,
  )
}

/** A number that changes with every bit of the tensors. */
const checksumOf = (parameters: ReadonlyMap<string, Tensor>): string => {
  let sum = 0
  for (const parameter of parameters.values()) {
    const { buffer, byteOffset, byteLength } = parameter.toTypedArray()
    const half = new Uint16Array(buffer, byteOffset, byteLength / 2)
    for (let i = 0; i < half.length; i++) sum = (Math.imul(sum, 31) + half[i]) | 0
  }
  return String(sum >>> 0)
}

/** @throws ConfigError for fewer rows than processes */
export const expectRows = ({ batch: { sequences } }: CommonRecipe, { size }: Pick<ProcessGroup, 'size'>): void => {
  if (sequences !== undefined && sequences < size)
    throw new ConfigError(
      `Expected at least ${size} for \`batch.sequences\`, one row for each process, got ${sequences}. Start fewer processes, or raise it.`,
    )
}

/** @throws ConfigError for processes with other code, settings or data */
export const expectSameRun = async (
  group: ProcessGroup,
  { out: _, ...settings }: CommonRecipe,
  hashes: Readonly<Record<string, string>>,
  more: Readonly<Record<string, string>> = {},
): Promise<void> =>
  group.expectEqual({
    ...(await programFacts()),
    recipe: shortHash(settings),
    data: shortHash(Object.values(hashes)),
    ...more,
  })

/**
 * @throws ConfigError for processes that would not train the same model on the same data, for fewer rows than processes, and for
 * what runs in one process only
 */
export const expectGroupFits = async (group: ProcessGroup, run: BuiltRun): Promise<void> => {
  const { recipe, hashes, trainable } = run
  if (recipe.device !== 'cpu')
    throw new ConfigError(`Expected the device cpu for several processes, got ${recipe.device}. Gloo has no other.`)
  expectRows(recipe, group)
  await expectSameRun(group, recipe, hashes, {
    'size of gradient buckets': String(group.bucketBytes),
    'overlap of exchange and backward pass': String(group.overlaps),
    parameters: shortHash([...trainable.parameters].map(([path, { shape, dtype }]) => [path, shape, dtype])),
    'initial weights': checksumOf(trainable.parameters),
  })
}
