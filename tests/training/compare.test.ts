// Runs side by side, through the program: what is said of each, and whether they differ by more than chance.
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createRandom } from '../../src/core/index.ts'
import { type Comparison, pretrain } from '../../src/runs/index.ts'
import { runHere } from '../e2e/run-folder.ts'
import { makeSmallData, type SmallData, smallRecipe } from './small-run.ts'

let data: SmallData
const at = (...names: string[]) => join(data.root, ...names)

/** Two thirds of the texts have "green" in them; one in six bears the wrong label. */
const rows = (count: number, seed: string) => {
  const random = createRandom(seed)
  return Array.from({ length: count }, (_, i) => {
    const green = random.float() < 2 / 3
    const label = random.float() < 1 / 6 ? !green : green
    const rest = ['the house', 'a river walks', 'old bird', 'rain and light'][random.integer(4)]
    return `${JSON.stringify({ review: `${rest} ${green ? 'green' : 'stone'} number ${i}`, stars: label ? 'plant' : 'rock' })}\n`
  }).join('')
}

const train = async (name: string, more: readonly string[] = [], file = 'rows.jsonl') => {
  const { code, stderr } = await runHere(
    `finetune --base ${at('base')} --task sequence-classification --data ${at(file)} --text-column review --label-column stars --validation-share 0.4
     --out ${at(name)} --max-length 32 --batch.sequences 16 --budget.epochs 5 --learning-rate 0.01 --evaluate.steps 99`
      .split(/\s+/)
      .concat(more),
  )
  expect(stderr).not.toMatch(/error/)
  expect(code).toBe(0)
}

const compareJson = async (names: readonly string[], more: readonly string[] = []): Promise<Comparison> => {
  const { code, stdout, stderr } = await runHere(['compare', ...names.map((name) => at(name)), '--json', ...more])
  expect(stderr).not.toMatch(/error/)
  expect(code).toBe(0)
  return JSON.parse(stdout)
}

beforeAll(async () => {
  data = await makeSmallData()
  await pretrain(smallRecipe(data, at('base'), { budget: { steps: 8 } }))
  writeFileSync(at('rows.jsonl'), rows(200, 'rows'))
  writeFileSync(at('others.jsonl'), rows(120, 'others'))
  await train('full')
  await train('lora', ['--variant', 'lora'])
  // Learns nothing: it says what its fresh head says.
  await train('still', ['--variant', 'lora', '--learning-rate', '1e-9'])
  await train('random', ['--random-init', '--learning-rate', '1e-9'])
  await train('others', [], 'others.jsonl')
})
afterAll(() => data.dispose())

describe('compare', () => {
  it('shows what a point of score cost, and what pretraining the base had cost', async () => {
    const { runs, references } = await compareJson(['full', 'still'])
    const [full] = runs
    const above = references.find(({ name }) => name === full.pointCosts?.above)!
    expect(full.pointCosts!.points).toBeCloseTo(100 * (full.value - above.value))
    expect(full.pointCosts!.seconds * full.pointCosts!.points).toBeCloseTo(full.seconds)
    const card = JSON.parse(readFileSync(at('base', 'run-card.json'), 'utf8'))
    expect(full.baseCosts).toEqual({ seconds: card.wallSeconds, flops: card.flops })
    // What learned nothing has bought no points.
    expect(runs.find(({ name }) => name.endsWith('still'))?.pointCosts).toBeUndefined()
  })

  it('names the versions of runs that other versions of the package made', async () => {
    cpSync(at('lora'), at('older'), { recursive: true })
    const path = at('older', 'run-card.json')
    const card = JSON.parse(readFileSync(path, 'utf8'))
    expect(card.versions.tunesmith).toMatch(/^\d+\.\d+/)
    writeFileSync(path, JSON.stringify({ ...card, versions: { ...card.versions, tunesmith: '0.0.1' } }))
    const { warnings } = await compareJson(['full', 'older'])
    expect(warnings).toEqual([
      `Runs were made by different versions of tunesmith: ${card.versions.tunesmith} (full); 0.0.1 (older). Scores may differ by that.`,
    ])
  })

  it('shows score and cost of each run', async () => {
    const { runs, references, warnings } = await compareJson(['full', 'lora', 'still', 'random'])
    expect(warnings).toEqual([])
    const [full, lora, random] = ['full', 'lora', 'random'].map((name) => runs.find((run) => run.name === name)!)
    expect(full).toMatchObject({ trainedShare: 1, variant: 'full', randomInit: false, metric: 'accuracy' })
    expect(lora.trainedShare).toBeGreaterThan(0)
    expect(lora.trainedShare).toBeLessThan(0.5)
    expect(random.randomInit).toBe(true)
    for (const run of runs) {
      expect(run.low).toBeLessThanOrEqual(run.value)
      expect(run.high).toBeGreaterThanOrEqual(run.value)
      expect(run.examplesPerSecond).toBeGreaterThan(0)
      // More tokens than examples.
      expect(run.tokensPerSecond).toBeGreaterThan(run.examplesPerSecond!)
      for (const cost of [run.seconds, run.peakBytes, run.fileBytes]) expect(cost).toBeGreaterThan(0)
    }
    // What nobody needs to learn anything for, judged by the same records.
    const evaluation = JSON.parse(readFileSync(at('full', 'model', 'evaluation.json'), 'utf8'))
    const plants = evaluation.details.classes.plant.records / evaluation.records.count
    expect(references.map(({ name }) => name)).toEqual(['majority class', 'random class', 'untrained base'])
    expect(references[0].value).toBeCloseTo(plants, 12)
    expect(references[0].value).toBeLessThan(full.value)
    // A run that learnt nothing is the untrained base.
    const still = runs.find(({ name }) => name === 'still')!
    expect(references[2].value).toBe(still.value)
  })

  it('shows whether runs differ by more than chance', async () => {
    const { runs } = await compareJson(['full', 'still', 'random'])
    const [best, ...rest] = runs
    expect(best.difference).toBeUndefined()
    for (const { value, difference } of rest) {
      expect(difference?.to).toBe(best.name)
      expect(difference?.value).toBeCloseTo(value - best.value, 12)
      expect(difference?.high).toBeGreaterThanOrEqual(difference!.value)
      // A score of 0.8 against one below 0.7 on 80 records.
      expect(difference?.probability).toBeLessThan(0.2)
    }
    const full = runs.find(({ name }) => name === 'full')!
    const random = runs.find(({ name }) => name === 'random')!
    expect(full.pretraining).toMatchObject({ to: 'random', value: expect.closeTo(full.value - random.value, 12) })
    expect(runs.find(({ name }) => name === 'still')!.pretraining).toBeUndefined()
    // The same run twice under two names: no difference at all.
    cpSync(at('full'), at('copy'), { recursive: true })
    const copies = await compareJson(['full', 'copy'])
    expect(copies.runs[1].difference).toMatchObject({ value: 0, low: 0, high: 0, probability: 1 })
  })

  it('warns where records differ, and where nothing is left to tell by', async () => {
    const others = await compareJson(['full', 'lora', 'others'])
    expect(others.warnings).toEqual([expect.stringMatching(/scored on different records.*others \(\d+ records\)/)])
    expect(others.runs.find(({ name }) => name === 'others')!.difference).toBeUndefined()
    expect(others.runs.filter(({ difference }) => difference !== undefined)).toHaveLength(1)
    const kept = readFileSync(at('rows.jsonl'))
    writeFileSync(at('rows.jsonl'), rows(200, 'changed'))
    const changed = await compareJson(['full', 'lora'])
    expect(changed.warnings).toEqual([expect.stringMatching(/No significance: .*rows\.jsonl.*records/)])
    expect(changed.runs).toHaveLength(2)
    writeFileSync(at('rows.jsonl'), kept)
    const path = at('copied', 'model', 'predictions.jsonl')
    cpSync(at('lora'), at('copied'), { recursive: true })
    writeFileSync(path, readFileSync(path, 'utf8').split('\n').slice(1).join('\n'))
    const missing = await compareJson(['full', 'copied'])
    expect(missing.warnings).toEqual([expect.stringMatching(/No significance: .*predictions/)])
    rmSync(at('copied'), { recursive: true })
  })

  it('shows it in the terminal, in Markdown and on a page that needs nothing else', async () => {
    mkdirSync(at('page'))
    const html = at('page', 'comparison.html')
    writeFileSync(
      at('full', 'samples.json'),
      JSON.stringify([{ id: '7', prompt: 'a <b>', reference: 'right', before: 'was', after: 'is' }]),
    )
    writeFileSync(at('lora', 'samples.json'), JSON.stringify([{ id: '7', prompt: 'a <b>', prediction: 'too' }]))
    const runs = ['full', 'lora', 'random'].map((name) => at(name))
    const terminal = await runHere(['compare', ...runs, '--html', html])
    expect(terminal.code).toBe(0)
    for (const word of ['full', 'full, from random', 'majority class', 'untrained base', 'pretraining brought'])
      expect(terminal.stdout).toContain(word)
    expect(terminal.stdout).toMatch(
      /7: a <b>\n {2}before {5}was\n {2}\w+ +(is|too)\n {2}\w+ +(is|too)\n {2}reference {2}right/,
    )
    const page = readFileSync(html, 'utf8')
    expect(page).not.toMatch(/<script|<link|https?:|@import|url\(/)
    expect(page.match(/<svg /g)).toHaveLength(4)
    for (const text of ['accuracy against seconds', 'Training loss', 'majority class', 'a &#60;b&#62;', 'too'])
      expect(page).toContain(text)
    expect(page).not.toContain('NaN')
    const markdown = await runHere(['compare', ...runs, '--markdown'])
    const lines = markdown.stdout.split('\n').filter((line) => line.startsWith('|'))
    expect(lines).toHaveLength(2 + 3 + 3)
    expect(new Set(lines.map((line) => line.split('|').length)).size).toBe(1)
  })

  it('refuses what is no finished run, and broken samples', async () => {
    const base = await runHere(['compare', at('base')])
    expect(base).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/Expected a fine-tuning run or an alignment run, found one of `pretrain`/),
    })
    writeFileSync(at('lora', 'samples.json'), '[{"id":1}]')
    const broken = await runHere(['compare', at('lora')])
    expect(broken).toMatchObject({ code: 1, stderr: expect.stringMatching(/samples\.json.*after/) })
  })
})
