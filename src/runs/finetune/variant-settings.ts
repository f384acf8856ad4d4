// The settings that `adapter` may have, by variant: for help.
import { z } from 'zod'
import { adapters } from '../../adapters/index.ts'
import { featureFields, findLearner, learners } from '../../features/index.ts'
import type { NonIterativeVariant } from './variant-names.ts'

/** Settings of `adapter` with the variant, or with the choice within it, that has them. */
export interface VariantSettings {
  /** The variant, or the estimator of a variant without steps. */
  of: string
  schema: z.ZodObject
}

const withoutSteps: Record<NonIterativeVariant, VariantSettings[]> = {
  'feature-based': [
    { of: 'feature-based', schema: featureFields },
    ...Object.keys(learners).map((type) => ({ of: type, schema: findLearner(type).config as z.ZodObject })),
  ],
}

/** The settings of every variant. */
export const variantSettings = (): VariantSettings[] => [
  ...Object.values(adapters).map(({ type, config }) => {
    const { type: _, ...own } = config.shape as z.ZodRawShape
    return { of: type, schema: z.strictObject(own) }
  }),
  ...Object.values(withoutSteps).flat(),
]
