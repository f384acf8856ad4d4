// The names of all fine-tuning variants: those that train in steps, and those that fit an estimator without steps.
import { type AdapterDefinition, type AdapterType, adapters, type MethodFamily } from '../../adapters/index.ts'
import { openEnum } from '../../core/index.ts'

/** Variants that fit an estimator to features of the frozen base; `variants.ts` has the work of each. */
export const nonIterativeVariants = ['feature-based'] as const
export type NonIterativeVariant = (typeof nonIterativeVariants)[number]

/** Any variant; those that packages register are accepted as well. */
export const variantSchema = openEnum<AdapterType | NonIterativeVariant>(() => [
  ...Object.keys(adapters),
  ...nonIterativeVariants,
])

/** The family of a variant, which comparisons draw alike. */
export const variantFamily = (variant: string): MethodFamily => {
  if ((nonIterativeVariants as readonly string[]).includes(variant)) return 'features'
  const method = (adapters as Partial<Record<string, AdapterDefinition>>)[variant]
  return method?.family ?? 'adapter'
}
