// The names of all fine-tuning variants: those that train in steps, and those that fit an estimator without steps.
import { type AdapterType, adapters } from '../../adapters/index.ts'

/** Variants that fit an estimator to features of the frozen base; `variants.ts` has the work of each. */
export const nonIterativeVariants = ['feature-based'] as const
export type NonIterativeVariant = (typeof nonIterativeVariants)[number]

export const variantNames = [
  ...(Object.keys(adapters) as [AdapterType, ...AdapterType[]]),
  ...nonIterativeVariants,
] as const
