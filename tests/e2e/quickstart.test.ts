// The quickstart as a user runs it, with little time for pretraining and few steps for specialists: stopped in the middle of each half,
// started again, and done.
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import type { PretrainingResult } from '../../src/cli/quickstart/pretraining.ts'
import type { SpecialistResult } from '../../src/cli/quickstart/specialists.ts'
import { runChild } from './run-folder.ts'

const folder = mkdtempSync(join(tmpdir(), 'tunesmith-quickstart-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

// Minutes bound the time too: a loaded machine must not come to the end in the first two steps.
it('stops at Ctrl-C, goes on where it was, and shows what was learnt', async () => {
  const argv = ['quickstart', '--out', folder, '--minutes', '0.4', '--vocab-size', '1024', '--specialist-steps', '2']
  let sent = false
  const first = await runChild(argv, (stderr, kill) => {
    if (sent || !/pretraining \d+ % · step \d+/.test(stderr)) return
    sent = true
    kill('SIGINT')
  })
  expect(first.code).toBe(130)
  expect(first.stderr).toContain('start the quickstart again, and it goes on from there')
  expect(existsSync(join(folder, 'bert', 'model'))).toBe(false)

  // Again in the middle of the specialists: the base is done, and the first specialist too.
  let sentAgain = false
  const second = await runChild(argv, (stderr, kill) => {
    if (sentAgain || !stderr.includes('sentiment, adapter')) return
    sentAgain = true
    kill('SIGINT')
  })
  expect(second.code).toBe(130)
  expect(second.stderr).toMatch(/Resuming from step [1-9]/)
  expect(existsSync(join(folder, 'bert', 'model', 'model.safetensors'))).toBe(true)

  const third = await runChild([...argv, '--json'])
  expect(third.code).toBe(0)
  expect(third.stderr).toContain('sentiment, full: done before')
  const { pretrained, specialists } = JSON.parse(third.stdout) as {
    pretrained: PretrainingResult
    specialists: SpecialistResult[]
  }
  const { before, after, curve, examples, model, steps } = pretrained
  // It begins with how common each of 1,024 pieces is, and learns more than that.
  expect(before.perplexity).toBeGreaterThan(200)
  expect(before.perplexity).toBeLessThan(1024)
  // 260 steps are meant; a starved machine makes few in the time, which only must do no harm: the rate is at its highest then.
  expect(after.perplexity).toBeLessThan(before.perplexity * (steps < 130 ? 1.1 : 1))
  expect(curve).toContain('Loss over masked words')
  expect(examples.every(({ masks }) => masks[0].length === 3)).toBe(true)
  expect(existsSync(join(model, 'model.safetensors'))).toBe(true)
  expect(specialists.map(({ name, runs }) => [name, runs.length])).toEqual([
    ['sentiment', 7],
    ['medical', 7],
    ['questions', 5],
  ])
  for (const { comparison, page } of specialists) {
    // Judged on the same records, with what takes no training beside them, and with what pretraining brought.
    expect(comparison.warnings).toEqual([])
    expect(comparison.references.map(({ name }) => name)).toContain('untrained base')
    expect(comparison.runs.some(({ randomInit }) => randomInit)).toBe(true)
    for (const [name, other] of [
      ['full', /(^|\/)from-random$/],
      ['lora', /(^|\/)lora-from-random$/],
    ] as const)
      expect(
        comparison.runs.find(({ variant, randomInit }) => variant === name && !randomInit)?.pretraining?.to,
      ).toMatch(other)
    expect(existsSync(page)).toBe(true)
  }

  const fourth = await runChild(argv)
  expect(fourth.code).toBe(0)
  expect(fourth.stderr).toContain('already')
  expect(fourth.stderr).not.toMatch(/sentiment, \w+ \d+ %/)
  expect(fourth.stdout).toMatch(/masked accuracy +[\d.]+ % +[\d.]+ %/)
  expect(fourth.stdout).toMatch(/pretraining, against random weights: full [+-]?[\d.]+ %/)
}, 600_000)
