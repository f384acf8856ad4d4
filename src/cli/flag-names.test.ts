import { expect, it } from 'vitest'
import { z } from 'zod'
import { flagNaming } from './flag-names.ts'
import { flagsOf } from './flags.ts'

it('names flags where a message names settings, and leaves all other words', () => {
  const withFlags = flagNaming(
    flagsOf(z.strictObject({ batch: z.strictObject({ microTokens: z.int() }), gpu: z.string() })),
  )
  expect(withFlags('Set `batch.microTokens` or `gpu`.')).toBe('Set `--batch.micro-tokens` or `--gpu`.')
  expect(withFlags('gpu, `--gpu`, `gpus`, `text`')).toBe('gpu, `--gpu`, `gpus`, `text`')
})
