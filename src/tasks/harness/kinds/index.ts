// The registry of kinds of benchmarks.
import { generationKind, instructionsKind } from './generation.ts'
import type { HarnessKind } from './kind.ts'
import { logLikelihoodKind, multipleChoiceKind } from './likelihood.ts'

export const harnessKinds = [multipleChoiceKind, logLikelihoodKind, generationKind, instructionsKind] as const

export const findKind = (type: string): HarnessKind =>
  // Each kind has fields of its own, which its `compile` alone knows.
  harnessKinds.find((kind) => kind.type === type) as unknown as HarnessKind
