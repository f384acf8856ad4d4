// The registry of kinds of benchmarks.
import { generationKind } from './generation.ts'
import { instructionsKind } from './instructions.ts'
import type { HarnessKind } from './kind.ts'
import { logLikelihoodKind } from './log-likelihood.ts'
import { multipleChoiceKind } from './multiple-choice.ts'

export const harnessKinds = [multipleChoiceKind, logLikelihoodKind, generationKind, instructionsKind] as const

/** The kind of this name. */
export const findKind = (type: string): HarnessKind =>
  harnessKinds.find((kind) => kind.type === type) as unknown as HarnessKind
