// Resampling of classes: the examples of each class as a set of a mixture, whose order is a function of seed and position.
import { ConfigError } from '../../core/index.ts'
import { addTargets, noTargets, type PreparedTask, type TargetSums, type TaskExample } from '../../tasks/index.ts'
import type { MixedSet } from '../engine/example-mixture.ts'

/** Weight of a class with so many examples. */
const weights = { balanced: () => 1, sqrt: Math.sqrt } satisfies Record<string, (count: number) => number>
export type Resampling = keyof typeof weights

/** The examples of each class. */
interface ClassSets {
  sets: MixedSet<TaskExample>[]
  /** Sums of the targets of each. */
  targets: TargetSums[]
}

/**
 * Divides the examples of data sets by class. It reads each of them once.
 * @throws ConfigError for data sets with shares of their own, and for tasks whose examples have no class
 */
export const classSets = (
  given: readonly MixedSet<TaskExample>[],
  prepared: PreparedTask,
  labels: readonly string[],
  how: Resampling,
): ClassSets => {
  if (given.some(({ weight, maxEpochs, maxExamples }) => (weight ?? maxEpochs ?? maxExamples) !== undefined))
    throw new ConfigError(
      '`resample` and shares of data sets (`weight`, `maxExamples`, `maxEpochs`) both decide how often examples come: remove one.',
    )
  const rows = prepared.generation === undefined ? prepared.rows : undefined
  if (rows?.kind !== 'class')
    throw new ConfigError(
      '`resample` needs a task with one class per example, such as sequence-classification with one label: remove it.',
    )
  if (rows.weights !== undefined)
    throw new ConfigError(
      'Expected `resample` or `settings.classWeights`, got both, which would count rare classes twice. Remove one.',
    )
  const ends: number[] = []
  for (const { examples } of given) ends.push((ends.at(-1) ?? 0) + examples.length)
  // Numbers among all examples, as objects of millions of them would take memory.
  const members: number[][] = labels.map(() => [])
  const targets = labels.map(() => noTargets(rows))
  const find = (member: number): [MixedSet<TaskExample>, number] => {
    const set = ends.findIndex((end) => member < end)
    return [given[set], member - (ends[set - 1] ?? 0)]
  }
  for (let member = 0; member < (ends.at(-1) ?? 0); member++) {
    const [{ examples }, index] = find(member)
    const example = examples.at(index) as TaskExample
    const own = rows.targets(example)
    if (own.length !== 1)
      throw new ConfigError(`\`resample\` needs one class per example, got ${own.length} of them. Remove it.`)
    // Examples whose class is not known are not trained on.
    const label = own[0]
    if (Number.isNaN(label)) continue
    members[label].push(member)
    addTargets(rows, targets[label], example)
  }
  const known = labels.flatMap((name, label) => (members[label].length > 0 ? [{ name, label }] : []))
  return {
    sets: known.map(({ name, label }) => ({
      name,
      weight: weights[how](members[label].length),
      examples: {
        length: members[label].length,
        at: (i) => {
          const [{ examples }, index] = find(members[label][i])
          return examples.at(index)
        },
      },
      placeOf: (i) => {
        const [{ placeOf }, index] = find(members[label][i])
        return placeOf(index)
      },
    })),
    targets: known.map(({ label }) => targets[label]),
  }
}
