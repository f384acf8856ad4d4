// Shape and colour of each family of fine-tuning methods.
import type { ComparedRunRow, MethodFamily } from '../../../src/serving/studio/types/compare-types.ts'
import type { Shape } from '../../parts/scatter.tsx'

export const families: Record<MethodFamily, { title: string; shape: Shape; color: string }> = {
  full: { title: 'Full fine-tuning', shape: 'circle', color: 'var(--curve-1)' },
  features: { title: 'Features', shape: 'square', color: 'var(--curve-3)' },
  selective: { title: 'Some parameters', shape: 'cross', color: 'var(--curve-7)' },
  adapter: { title: 'Adapter', shape: 'triangle', color: 'var(--curve-4)' },
  lora: { title: 'LoRA', shape: 'diamond', color: 'var(--curve-2)' },
}

/** `lora, from random`. */
export const methodOf = ({ variant, randomInit }: Pick<ComparedRunRow, 'variant' | 'randomInit'>): string =>
  randomInit ? `${variant}, from random` : variant
