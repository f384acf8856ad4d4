// A part that a benchmark has not is refused before anything is measured, not passed over in silence.
import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import type { BenchOptions } from '../../bench/main.ts'
import { chosenParts } from '../../bench/side-by-side.ts'

describe('--parts', () => {
  it('names parts in their order', () => {
    expect(chosenParts('b,a', ['a', 'b', 'c'])).toEqual(['b', 'a'])
  })

  it.each(['alignment', 'engine', 'finetune', 'generation', 'gpu', 'models', 'pretrain', 'serving', 'sft'])(
    'of %s refuses another',
    async (name) => {
      const { run } = (await import(`../../bench/${name}.ts`)) as { run: (options: BenchOptions) => Promise<void> }
      await expect(run({ smoke: true, rest: ['--parts', 'none-such'] })).rejects.toThrow(
        /^Expected parts \(.+\) for `--parts`, got none-such\.$/,
      )
    },
  )
})

it('`--help` of a benchmark prints what its file says first, and runs nothing', () => {
  const { status, stdout } = spawnSync(process.execPath, ['--import', 'tsx', 'bench/main.ts', 'planner', '--help'], {
    encoding: 'utf8',
  })
  expect(status).toBe(0)
  expect(stdout).toMatch(/^Plans against short real runs.*\nOptions: --set/s)
})
