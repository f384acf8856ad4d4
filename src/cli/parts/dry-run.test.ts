// A command that trains has no flags of a plan: what its plan advises names the command that has them.
import { expect, it, vi } from 'vitest'
import { finetune } from '../commands/finetune.ts'
import { flagNaming } from '../flag-names.ts'
import { flagsOf } from '../flags.ts'
import { planDryRun, renderRunOrPlan } from './dry-run.ts'

const notes = [
  'use `measure`, or `gpu`. Set how many it had by `pretrainingTokens`. Raise `batch.tokens`.',
  'Leave `measured` as it is.',
]
const memory = { peakBytes: 9, heldBytes: 9, phase: 'step', operator: 'add', holders: [], phases: [] }
const row = { name: 'lora', parameters: 9, trainedParameters: 9, tokensPerStep: 9, flops: 0, diskBytes: 9, memory }
const plan = { command: 'finetune', rows: [row], memoryBytes: 9, notes } as never
const context = { withFlags: flagNaming(flagsOf(finetune.options)) }
const notesOf = (text: string) => text.split('\n').filter((line) => line.startsWith('note: '))

it('names the flags of its own command, and those of a plan with the command that plans', () => {
  expect(notesOf(renderRunOrPlan('plan finetune')(plan, context))).toEqual([
    'note: use `plan finetune --measure`, or `plan finetune --gpu`. Set how many it had by `plan finetune --pretraining-tokens`. Raise `--batch.tokens`.',
    'note: Leave `measured` as it is.',
  ])
  expect(notesOf(renderRunOrPlan()(plan, context))[0]).toContain('use `measure`, or `gpu`.')
})

it('plans as many processes as a launcher started', async () => {
  const launched = { RANK: '0', WORLD_SIZE: '2', MASTER_ADDR: 'localhost', MASTER_PORT: '29500' }
  const recipe = { command: 'pretrain', model: { type: 'bert', preset: 'test' }, shard: 'optimizer' }
  // What is refused for one process is planned for two, until the data is read.
  const given = { ...recipe, objective: { type: 'masked-lm' }, data: 'missing', tokenizer: 'missing', out: 'missing' }
  try {
    await expect(planDryRun(given)).rejects.toThrow(/`shard` optimizer needs several processes: start them by `launch`/)
    for (const [name, value] of Object.entries(launched)) vi.stubEnv(name, value)
    await expect(planDryRun(given)).rejects.not.toThrow(/needs several processes/)
    await expect(planDryRun({ ...given, batch: { sequences: 1 } })).rejects.toThrow(/at least 2 for `batch.sequences`/)
  } finally {
    vi.unstubAllEnvs()
  }
})
