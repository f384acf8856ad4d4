// The registry of kinds of benchmarks.
import { generationKind } from './generation.ts'
import { instructionsKind } from './instructions.ts'
import type { HarnessKind } from './kind.ts'
import { logLikelihoodKind } from './log-likelihood.ts'
import { multipleChoiceKind } from './multiple-choice.ts'

export const harnessKinds = [multipleChoiceKind, logLikelihoodKind, generationKind, instructionsKind] as const

/** The kind of a checked task file. */
export const findKind = (type: string): HarnessKind =>
  // Each kind has fields of its own, which its `compile` alone knows.
  harnessKinds.find((kind) => kind.type === type) as unknown as HarnessKind
