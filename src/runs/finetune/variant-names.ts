// The names of all fine-tuning variants: those that train in steps, and those that fit an estimator without steps.
import { type AdapterType, adapters } from '../../adapters/index.ts'
import { openEnum } from '../../core/index.ts'

/** Variants that fit an estimator to features of the frozen base; `variants.ts` has the work of each. */
export const nonIterativeVariants = ['feature-based'] as const
export type NonIterativeVariant = (typeof nonIterativeVariants)[number]

/** Any variant; those that packages register are accepted as well. */
export const variantSchema = openEnum<AdapterType | NonIterativeVariant>(() => [
  ...Object.keys(adapters),
  ...nonIterativeVariants,
])
