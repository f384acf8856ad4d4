// The registry of learners; the first that supports a kind of problem is the default for it.
import { ConfigError, type Definition, didYouMean, Registry, show } from '../../core/index.ts'
import type { LearnerDefinition } from '../learner.ts'
import { gradientBoostedTrees } from './gradient-boosted-trees.ts'
import { linearSvm } from './linear-svm.ts'
import { logisticRegression } from './logistic-regression.ts'
import { mlp } from './mlp.ts'
import { nearestNeighbours } from './nearest-neighbours.ts'
import { ridge } from './ridge.ts'

const registry = new Registry<Definition>('a learner')

/** All learners by `type`: the built-in ones, and those that packages register. */
export const learners = registry.builtIn([
  logisticRegression,
  ridge,
  linearSvm,
  nearestNeighbours,
  gradientBoostedTrees,
  mlp,
])

/** Names of the built-in learners. */
export type LearnerType = keyof typeof learners

/** Adds a learner that a package defines with `defineLearner`. @throws ConfigError for a `type` that is taken */
export const registerLearner = <Config extends object>(definition: LearnerDefinition<Config>): void =>
  registry.register(definition)

/** Names of all learners. */
export const learnerTypes = (): string[] => registry.types

/** The learner of this name. @throws ConfigError for an unknown name */
export const findLearner = (type: string): LearnerDefinition => {
  const found: unknown = registry.find(type)
  if (found !== undefined) return found as LearnerDefinition
  const names = registry.types
  throw new ConfigError(
    `Expected one of ${names.map((name) => `\`${name}\``).join(', ')} for \`adapter.learner\`, got ${show(type)}.${didYouMean(type, names)}`,
  )
}
