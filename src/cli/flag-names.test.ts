import { expect, it } from 'vitest'
import { z } from 'zod'
import { dataFlagNaming, flagNaming } from './flag-names.ts'
import { flagsOf } from './flags.ts'

it('names flags where a message names settings, and leaves all other words', () => {
  const withFlags = flagNaming(
    flagsOf(z.strictObject({ batch: z.strictObject({ microTokens: z.int() }), gpu: z.string() })),
  )
  expect(withFlags('Set `batch.microTokens` or `gpu`.')).toBe('Set `--batch.micro-tokens` or `--gpu`.')
  expect(withFlags('gpu, `--gpu`, `gpus`, `text`')).toBe('gpu, `--gpu`, `gpus`, `text`')
})

it('names settings of data by the flags that a command has, and no others', () => {
  const text = z.string()
  const settings = z.strictObject({ text, question: text, ignoreColumns: z.array(text) })
  const finetune = dataFlagNaming(flagsOf(z.strictObject({ textColumn: text, settings })))
  const message =
    'Set `settings.text: "My words"`, `settings.question: "q"` or `settings.ignoreColumns: ["a b"]`; `settings.text`, `text`.'
  expect(finetune(message)).toBe(
    'Set `--text-column "My words"`, `--settings.question q` or `--settings.ignore-columns "a b"`; `--text-column`, `text`.',
  )
  const predict = dataFlagNaming(flagsOf(z.strictObject({ textColumn: text })))
  const known = dataFlagNaming(flagsOf(z.strictObject({ dataset: text })))
  expect(known('Set `dataset: "rte"`, one of `dataset`.')).toBe('Set `--dataset rte`, one of `dataset`.')
  expect(predict('Set `settings.text: "words"` or `settings.question`.')).toBe(
    'Set `--text-column words` or `settings.question`.',
  )
})
