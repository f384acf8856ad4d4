// The form of a new run: its fields from the schemas, its check, its plan, its command line, and a run that it starts.
import { existsSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseCommandLine } from '../../src/cli/command-line.ts'
import { pretrain } from '../../src/cli/commands/pretrain.ts'
import type { RunList } from '../../src/serving/studio/types/api-types.ts'
import type { RecipeCheck, RecipeForm, RecipePlan } from '../../src/serving/studio/types/new-run-types.ts'
import { fieldsOf, recipeOf, valuesOf } from '../../web/pages/new/fields.ts'
import { makeSmallData, type SmallData, smallRecipe } from '../training/small-run.ts'
import { browserPath, runsFolder, StudioUnderTest, writeEvents, writeJson } from './studio-fixture.ts'

const runs = runsFolder()
const studio = new StudioUnderTest()
studio.use({ roots: [runs] })
let data: SmallData

beforeAll(async () => {
  data = await makeSmallData()
})
afterAll(() => data.dispose())

const ask = <T>(path: string, recipe: object): Promise<T> => studio.post<T>(`/api/new-run/${path}`, { recipe })

const form = (command: string) => studio.json<RecipeForm>(`/api/new-run/${command}`)

describe('the fields of a form', () => {
  it('have help, default, range and choices, and follow the choices that are made', async () => {
    const pretraining = await form('pretrain')
    const named = (values: Record<string, string>, name: string) =>
      fieldsOf(pretraining, values).find((field) => field.name === name)
    expect(named({}, 'batch.microTokens')).toMatchObject({ kind: 'number', byDefault: '8192', range: 'more than 0' })
    expect(named({}, 'optimizer.type')).toMatchObject({ kind: 'choice', byDefault: 'adamw' })
    expect(named({}, 'optimizer.beta2')).toMatchObject({ byDefault: '0.999' })
    expect(named({ 'optimizer.type': 'sgd' }, 'optimizer.beta2')).toBeUndefined()
    expect(named({ 'optimizer.type': 'sgd' }, 'optimizer.momentum')).toMatchObject({ byDefault: '0.9' })
    // The default of the whole schedule has a warmup; one that is set has its own default.
    expect(named({}, 'schedule.warmupShare')?.byDefault).toBe('0.05')
    expect(named({ 'schedule.type': 'cosine' }, 'schedule.warmupShare')?.byDefault).toBe('0')
    expect(named({ 'model.type': 'bert' }, 'model.config.numLayers')).toMatchObject({ byDefault: '12' })
    expect(named({}, 'command')).toBeUndefined()
    const finetuning = await form('finetune')
    const lora = fieldsOf(finetuning, { variant: 'lora' }).map(({ name }) => name)
    expect(lora).toContain('adapter.rank')
    expect(fieldsOf(finetuning, {}).map(({ name }) => name)).not.toContain('adapter.rank')
    expect(lora).toContain('base')
  })

  it.each(['pretrain', 'finetune', 'multitask', 'align'])('have a help each: %s', async (command) => {
    const fields = fieldsOf(await form(command), {})
    expect(fields.length).toBeGreaterThan(40)
    expect(fields.filter(({ help }) => help === '').map(({ name }) => name)).toEqual([])
  })

  it('give the tasks of a run of several back, as the command line has them', async () => {
    const several = await form('multitask')
    const tasks = {
      tone: { type: 'sequence-classification', data: ['a.csv'], settings: { text: 'review' }, validation: 'b.csv' },
      names: { type: 'token-classification', data: 'c.conll', scale: 2, settings: {} },
    }
    const values = valuesOf(several, { command: 'multitask', base: 'bert', tasks })
    const recipe = recipeOf(fieldsOf(several, values), values)
    expect(recipe.tasks).toEqual([
      'tone=sequence-classification,data=a.csv,settings.text=review,validation=b.csv',
      'names=token-classification,data=c.conll,scale=2',
    ])
    const { faults } = await ask<RecipeCheck>('multitask/check', { ...recipe, out: join(runs, 'several') })
    expect(faults).toEqual([])
    const { commandLine } = await ask<RecipeCheck>('multitask/check', recipe)
    expect(commandLine).toContain('--tasks names=token-classification,data=c.conll,scale=2')
  })

  it('give a recipe back as it was', async () => {
    const pretraining = await form('pretrain')
    const recipe = JSON.parse(JSON.stringify(smallRecipe(data, '', { prompts: ['a, b', 'c'], recompute: 1 })))
    const values = valuesOf(pretraining, recipe)
    const { out: _, ...rest } = recipe
    // Two checkpoints are kept by default.
    rest.keep = { best: 'loss' }
    expect(recipeOf(fieldsOf(pretraining, values), values)).toEqual({ ...rest, data: [recipe.data] })
  })
})

describe('a recipe', () => {
  it('has its faults at the settings that have them', async () => {
    const { faults } = await ask<RecipeCheck>('pretrain/check', {
      objective: { type: 'masked-lm', maskShare: 2 },
      model: { type: 'bert', config: { hiddenSise: 4 } },
      learningRate: 'fast',
      data: 'x',
      tokenizer: 'y',
    })
    const at = (name: string) => faults.find((fault) => fault.name === name)?.message
    expect(at('objective.maskShare')).toContain('less than 1')
    expect(at('learningRate')).toContain('Expected a number')
    expect(at('out')).toContain('nothing')
    expect(at('model.config.hiddenSise')).toContain('hiddenSize')
    expect((await ask<RecipeCheck>('finetune/check', { variant: 'lora', adapter: { rank: 0 } })).faults).toContainEqual(
      expect.objectContaining({ name: 'adapter.rank' }),
    )
  })

  it('is written as the command line that gives it', async () => {
    const recipe = JSON.parse(
      JSON.stringify(
        smallRecipe(data, join(runs, 'a b'), {
          prompts: ['a, "b"', '-c'],
          batch: { sequences: 4, padded: true },
          seed: -3,
        }),
      ),
    )
    const { commandLine, faults } = await ask<RecipeCheck>('pretrain/check', recipe)
    expect(faults).toEqual([])
    const words = [...commandLine.slice(commandLine.indexOf(' pretrain ') + 10).matchAll(/(?:'[^']*'|\\'|[^\s'\\])+/g)]
    const line = await parseCommandLine(
      pretrain,
      words.map(([word]) => word.replaceAll(/'([^']*)'/g, '$1')),
    )
    expect(line).toMatchObject({ kind: 'run', options: { ...recipe, data: [recipe.data] } })
  })

  it('has a plan', async () => {
    const { plan, fault } = await ask<RecipePlan>('pretrain/plan', smallRecipe(data, join(runs, 'planned')))
    expect(fault).toBeNull()
    expect(plan).toMatchObject({ steps: 20, fits: true })
    expect(plan!.peakBytes).toBeGreaterThan(plan!.parameters * 4)
    const none = await ask<RecipePlan>('pretrain/plan', smallRecipe(data, join(runs, 'planned'), { data: '/nowhere' }))
    expect(none).toMatchObject({ plan: null, fault: expect.stringContaining('nowhere') })
  })

  it('runs no module of a recipe before its start', async () => {
    const mark = join(runs, 'was-run')
    const module = join(runs, 'module.mjs')
    writeFileSync(module, `import { writeFileSync } from 'node:fs'\nwriteFileSync(${JSON.stringify(mark)}, '')\n`)
    for (const own of [{ use: [module] }, { use: module }, { recipeFile: module }]) {
      const planned = await ask<RecipePlan>('pretrain/plan', { ...smallRecipe(data, join(runs, 'planned')), ...own })
      expect(planned).toEqual({ plan: null, fault: 'A recipe with modules of its own is planned when it starts.' })
    }
    expect(existsSync(mark)).toBe(false)
  })

  it('starts only in a new folder below the runs', async () => {
    for (const out of ['/tmp/elsewhere', runs, join(runs, '../x')]) {
      const answer = await ask('pretrain/start', smallRecipe(data, out))
      expect(answer).toMatchObject({ error: { param: 'out', message: expect.stringContaining('below') } })
    }
    expect(await ask('pretrain/start', { out: join(runs, 'x') })).toMatchObject({ error: { code: 'invalid_recipe' } })
    expect(await studio.json('/api/new-run/serve')).toMatchObject({
      error: { message: expect.stringContaining('pretrain') },
    })
  })
})

describe.skipIf(browserPath === undefined)('the page', () => {
  it('is filled from a run, shows faults and a plan, and starts a run that trains to its end', async () => {
    await writeEvents(join(runs, 'before'), [{ type: 'start', time: new Date().toISOString(), step: 0, totalSteps: 5 }])
    const { average: _, keep: __, evaluate: ___, ...recipe } = smallRecipe(data, 'x', { budget: { steps: 30 } })
    await writeJson(join(runs, 'before/run.json'), { command: 'pretrain', ...recipe, data: [recipe.data] })
    const watched = await studio.open('#/new/pretrain?from=before')
    const { page } = watched
    const setting = (name: string) => page.getByLabel(name, { exact: false }).and(page.locator('input, select')).first()
    await page.getByText('maxLength', { exact: true }).waitFor()
    expect(await setting('budget.steps').inputValue()).toBe('30')
    await setting('maxLength').fill('many')
    await page.getByText('Expected a number for `maxLength`, got "many".').waitFor()
    await setting('maxLength').fill('16')
    await page.getByText(/^Peak of .* of /).waitFor()
    await setting('batch.sequences').fill('8')
    await page.getByText(/FLOPs \+\d+ %/).waitFor()
    await setting('batch.sequences').fill('4')
    await page.getByText('Command line').first().click()
    await page.getByText(/--max-length 16/).waitFor()
    await setting('out').fill(join(runs, 'after'))
    const start = page.getByRole('button', { name: 'Start the run' })
    await expect.poll(() => start.isEnabled()).toBe(true)
    const other = await studio.open('#/new/align')
    await other.page.getByRole('heading', { name: 'Essentials' }).waitFor()
    await studio.checkAndClose(other)
    await start.click()
    const row = page.getByRole('row').filter({ hasText: 'after' })
    await row.getByText('finished').waitFor()
    const { runs: rows } = await studio.json<RunList>('/api/runs')
    expect(rows.find(({ id }) => id === 'after')).toMatchObject({ step: 30, state: 'finished' })
    const written = JSON.parse(await readFile(join(runs, 'after/run.json'), 'utf8'))
    expect(written).toMatchObject({ maxLength: 16, batch: { sequences: 4 }, model: { config: { numLayers: 1 } } })
    await studio.checkAndClose(watched)
  })
})
