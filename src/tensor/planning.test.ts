// A plan ends while its own garbage is collected. In a process of its own, whose small young generation is collected often.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const script = `
const { notePhase, plan, zeros } = await import('${new URL('./index.ts', import.meta.url).href}')
for (let i = 0; i < 20; i++)
  await plan(() => {
    for (let k = 0; k < 3000; k++) {
      notePhase('a phase whose name takes memory of JavaScript, number ' + k)
      zeros([64, 64]).add(1)
    }
  })
console.log('ended')
`

it('ends although making its record frees tensors of the plan', () => {
  const words = ['--max-semi-space-size=1', '--import', 'tsx', '--input-type=module', '-e', script]
  const cwd = fileURLToPath(new URL('../..', import.meta.url))
  const run = spawnSync(process.execPath, words, { cwd, encoding: 'utf8', timeout: 120_000 })
  expect(`${run.stdout}${run.stderr}`).toContain('ended')
})
