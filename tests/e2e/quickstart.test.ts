// The quickstart as a user runs it, with little time for pretraining: stopped in the middle, started again, and done.
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import type { PretrainingResult } from '../../src/cli/quickstart-pretraining.ts'
import { runChild } from './run-folder.ts'

const folder = mkdtempSync(join(tmpdir(), 'tunesmith-quickstart-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

it('stops at Ctrl-C, goes on where it was, and shows what was learnt', async () => {
  const argv = ['quickstart', '--out', folder, '--minutes', '0.15', '--vocab-size', '1024']
  let sent = false
  const first = await runChild(argv, (stderr, kill) => {
    if (sent || !/pretraining \d+ % · step \d+/.test(stderr)) return
    sent = true
    kill('SIGINT')
  })
  expect(first.code).toBe(130)
  expect(first.stderr).toContain('start the quickstart again, and it goes on from there')
  expect(existsSync(join(folder, 'bert', 'model'))).toBe(false)

  const second = await runChild([...argv, '--json'])
  expect(second.code).toBe(0)
  expect(second.stderr).toMatch(/Going on after step [1-9]/)
  const { before, after, curve, examples, model } = (JSON.parse(second.stdout) as { pretrained: PretrainingResult })
    .pretrained
  // Fresh weights know nothing of 1,024 pieces.
  expect(before.perplexity).toBeGreaterThan(800)
  expect(after.perplexity).toBeLessThan(before.perplexity)
  expect(curve).toContain('Loss over masked words')
  expect(examples.every(({ masks }) => masks[0].length === 3)).toBe(true)
  expect(existsSync(join(model, 'model.safetensors'))).toBe(true)

  const third = await runChild(argv)
  expect(third.code).toBe(0)
  expect(third.stderr).toContain('already')
  expect(third.stdout).toMatch(/masked accuracy +[\d.]+ % +[\d.]+ %/)
}, 300_000)
