// The quickstart as a user runs it, with few steps: interrupted in each half, resumed, and done; the same scores from an undisturbed
// run; and from a pretrained model in a folder.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { QuickstartResult } from '../../src/cli/quickstart/report.ts'
import { isFull } from '../grid.ts'
import { type ProgramResult, runChild } from './run-folder.ts'

const root = mkdtempSync(join(tmpdir(), 'tunesmith-quickstart-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))
const [interrupted, undisturbed, fromFolder] = ['interrupted', 'undisturbed', 'from-folder'].map((name) =>
  join(root, name),
)

const steps = ['--max-steps', '4']

/** Runs it until `pattern` is on stderr, then sends Ctrl-C. */
const interruptAt = (argv: readonly string[], pattern: RegExp): Promise<ProgramResult> => {
  let sent = false
  return runChild(argv, (stderr, kill) => {
    if (sent || !pattern.test(stderr)) return
    sent = true
    kill('SIGINT')
  })
}

const resultOf = ({ stdout }: ProgramResult) => JSON.parse(stdout) as QuickstartResult

/** Everything but times, memory and paths. */
const scoresOf = ({ text, base, pretrained, specialists }: QuickstartResult) => ({
  text,
  base: base.split('/').slice(-2),
  // To the bit: a base that resumed otherwise shows here, where a few steps give specialists equal scores.
  pretrained: pretrained && [pretrained.before, pretrained.after],
  specialists: specialists.map(({ name, metric, pairs, references, examples }) => ({
    name,
    metric,
    pairs,
    references,
    examples,
  })),
})

describe('quickstart', () => {
  it('resumes after Ctrl-C, shows the whole story in 80 columns, and writes a page', async () => {
    const argv = ['quickstart', '--out', interrupted, ...steps]
    const first = await interruptAt(argv, /base \d+ % · step \d+/)
    expect(first.code).toBe(130)
    expect(first.stderr).toMatch(/about \d+ min on two quiet cores/)
    expect(first.stderr).toMatch(/\[1\/\d\] Raw text to corpus.*\(about .* left\)/)
    expect(first.stderr).toContain('warning: The budget is 4 steps: too few to learn from')
    expect(first.stderr).toContain('run the same command again to resume')
    expect(existsSync(join(interrupted, 'base', 'model'))).toBe(false)

    const second = await interruptAt(argv, /\[5\/8\][\s\S]*full: 4 steps/)
    expect(second.code).toBe(130)
    expect(existsSync(join(interrupted, 'base', 'model', 'model.safetensors'))).toBe(true)

    const third = await runChild(argv)
    expect(third.stderr).toContain('full: done before')
    expect(third.code).toBe(0)
    expect(third.stdout).toMatch(/warc +1 /)
    expect(third.stdout).toMatch(/^The pretrained base is better than random weights by more than the 95 % interval/m)
    expect(third.stdout).toMatch(/^ +routing +full +0\.\d+ +0\.\d+ +[+-]0\.\d+ \[/m)
    expect(third.stdout).toMatch(/^ +base +[\d.]+ m?s .* \d\.\de\d+/m)
    const commands = third.stdout.split('\n').filter((line) => line.includes(root))
    for (const line of [...third.stdout.split('\n'), ...third.stderr.split('\n')])
      if (!line.includes(root) && !line.includes('YOURS.csv')) expect(line.length, line).toBeLessThanOrEqual(80)
    expect(
      commands.filter((line) => /^node (bin\/tunesmith\.js|--import tsx src\/cli\/main\.ts) /.test(line.trim())).length,
    ).toBeGreaterThanOrEqual(3)

    const page = readFileSync(join(interrupted, 'quickstart.html'), 'utf8')
    for (const title of ['Pipeline', 'Comparison', 'Cost', 'Curves', 'Samples', 'Next'])
      expect(page).toContain(`<h2>${title}</h2>`)
    expect(page.match(/<svg/g)?.length).toBeGreaterThanOrEqual(6)
  })

  it.runIf(isFull)('gives the same scores in another folder, undisturbed (test:full)', async () => {
    const again = resultOf(await runChild(['quickstart', '--out', undisturbed, ...steps, '--json']))
    const before = resultOf(await runChild(['quickstart', '--out', interrupted, ...steps, '--json']))
    expect(scoresOf(before)).toEqual(scoresOf(again))
    expect(again.specialists.map(({ name }) => name)).toEqual(['routing', 'health', 'names'])
    for (const { pairs, comparison } of again.specialists) {
      expect(comparison.warnings).toEqual([])
      expect(pairs.map(({ variant }) => variant)).toEqual(['full', 'lora'])
      // The difference of the two is measured over the same records.
      for (const { base, random, gain } of pairs) expect(gain.value).toBeCloseTo(base.value - random.value, 6)
    }
  })

  it.runIf(isFull)('starts the specialists from a model in a folder, without pretraining (test:full)', async () => {
    const model = join(interrupted, 'base', 'model')
    const argv = ['quickstart', '--out', fromFolder, '--pretrained', model, '--max-steps', '2']
    const done = await runChild([...argv, '--json'])
    expect(done.code).toBe(0)
    const { base, text, specialists } = resultOf(done)
    expect([base, text]).toEqual([model, undefined])
    expect(specialists.every(({ pairs }) => pairs.length === 2)).toBe(true)
    expect(existsSync(join(fromFolder, 'corpus'))).toBe(false)
  })

  it('refuses a folder that was started with other flags', async () => {
    const other = await runChild(['quickstart', '--out', interrupted, '--fast'])
    expect(other.code).toBe(2)
    expect(other.stderr).toContain(`found a quickstart with --max-steps 4 in ${interrupted}`)
  })
})
