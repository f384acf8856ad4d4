// What `adapter` may hold, by variant: for help.
import { z } from 'zod'
import { adapters } from '../../adapters/index.ts'
import { featureFields, learners } from '../../features/index.ts'
import type { NonIterativeVariant } from './variant-names.ts'

export interface VariantSettings {
  /** The variant, and what of it has been chosen. */
  of: string
  schema: z.ZodObject
}

const atOnce: Record<NonIterativeVariant, VariantSettings[]> = {
  'feature-based': [
    { of: 'feature-based', schema: featureFields },
    ...Object.values(learners).map(({ type, config }) => ({ of: type, schema: config as unknown as z.ZodObject })),
  ],
}

export const variantSettings: readonly VariantSettings[] = [
  ...Object.values(adapters).map(({ type, config }) => {
    const { type: _, ...own } = config.shape as z.ZodRawShape
    return { of: type, schema: z.strictObject(own) }
  }),
  ...Object.values(atOnce).flat(),
]
