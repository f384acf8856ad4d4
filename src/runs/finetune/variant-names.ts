// The names of all variants of fine-tuning: those that train in the loop, and those that learn at once.
import { type AdapterType, adapters } from '../../adapters/index.ts'

/** Variants that learn from features of the frozen base; `variants.ts` says how. */
export const nonIterativeVariants = ['feature-based'] as const
export type NonIterativeVariant = (typeof nonIterativeVariants)[number]

export const variantNames = [
  ...(Object.keys(adapters) as [AdapterType, ...AdapterType[]]),
  ...nonIterativeVariants,
] as const
