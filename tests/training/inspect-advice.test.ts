// The command that a weak run names is read by the program as the run read its data.
import { expect, it } from 'vitest'
import { parseCommandLine } from '../../src/cli/command-line.ts'
import { inspect } from '../../src/cli/commands/inspect.ts'
import { programCall } from '../../src/core/index.ts'
import { completeRecipe } from '../../src/runs/finetune/finetune.ts'
import { inspectAdvice } from '../../src/runs/finetune/write-evaluation.ts'

const adviceOf = (more: object) =>
  inspectAdvice(
    completeRecipe({
      base: 'base',
      task: 'sequence-classification',
      data: '/data/reviews.csv',
      out: 'runs/a',
      ...more,
    }),
  )

/** The words after `inspect` in the command of an advice, none of which needs quotes. */
const wordsOf = (advice: string) => {
  const [, call] = /^Do the targets fit their texts\? `(.+)` shows records/.exec(advice) ?? []
  expect(call?.startsWith(`${programCall('inspect')} `)).toBe(true)
  return call.slice(programCall('inspect').length + 1).split(' ')
}

it('names the file, the task and the settings by which the run read its data', async () => {
  const settings = { text: 'review', labels: ['bad', 'good'], labelMap: { '0': 'bad' }, classWeights: 'balanced' }
  const line = await parseCommandLine(inspect, wordsOf(adviceOf({ settings })))
  expect(line).toMatchObject({
    args: { data: '/data/reviews.csv' },
    options: {
      task: 'sequence-classification',
      settings: { text: 'review', labels: ['bad', 'good'], labelMap: { '0': 'bad' } },
    },
  })
  // Settings of learning have no part in reading.
  expect(adviceOf({ settings })).not.toContain('weights')
  expect(wordsOf(adviceOf({}))).toEqual(['/data/reviews.csv', '--task', 'sequence-classification'])
})

it('names the first of several data sets, with its own settings', () => {
  const data = [{ path: '/data/a.csv', settings: { text: 'body' } }, { path: '/data/b.csv' }]
  expect(wordsOf(adviceOf({ data }))).toEqual([
    '/data/a.csv',
    '--task',
    'sequence-classification',
    '--settings.text',
    'body',
  ])
})

it('names no command for rows that a function of the recipe reads', () => {
  expect(adviceOf({ read: () => [] })).toBe(
    'Do the targets fit their texts? Read some records of /data/reviews.csv, and look for equal texts with different targets.',
  )
})
