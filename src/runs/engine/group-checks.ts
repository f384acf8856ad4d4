// What must be the same on every process before the first step of a run, and what several processes cannot do.
import { ConfigError } from '../../core/index.ts'
import { type ProcessGroup, programFacts, shortHash } from '../../distributed/index.ts'
import type { Tensor } from '../../tensor/index.ts'
import type { BuiltRun, CommonRecipe } from './run-kind.ts'

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
