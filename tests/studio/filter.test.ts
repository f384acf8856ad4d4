// Filters of the table of runs: conditions over rows, tags and the settings of recipes, and what the database refuses.
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import type { FilterAnswer, FilterFields } from '../../src/serving/studio/types/api-types.ts'
import { runsFolder, StudioUnderTest, stepEvent, writeEvents, writeJson } from './studio-fixture.ts'

const runs = runsFolder()
const studio = new StudioUnderTest()
studio.use({ roots: [runs] })

const find = async (where: string) => {
  const answer = await studio.json<Partial<FilterAnswer> & { error?: { message: string } }>(
    `/api/filter?where=${encodeURIComponent(where)}`,
  )
  return answer.ids?.sort() ?? answer.error?.message
}

const tag = (id: string, tags: string[]) => studio.post(`/api/runs/${encodeURIComponent(id)}/tags`, { tags })

beforeAll(async () => {
  const recipe = { command: 'pretrain', model: { type: 'bert' }, batch: { sequences: 8 }, optimizer: { type: 'adamw' } }
  await writeEvents(join(runs, 'a'), [stepEvent(1), stepEvent(100)])
  await writeJson(join(runs, 'a/run.json'), { ...recipe, prompts: ['x', 'y'], recompute: 'none' })
  await writeEvents(join(runs, 'b'), [stepEvent(4)])
  await writeJson(join(runs, 'b/run.json'), {
    ...recipe,
    batch: { sequences: 32 },
    recompute: 2,
    average: { decay: 0.9 },
  })
  await writeEvents(join(runs, "it's"), [stepEvent(9)])
  await studio.json('/api/runs')
  await tag('a', ['baseline', 'keep'])
})

describe('a condition', () => {
  it.each([
    ["'baseline' in tags and loss < 2", ['a']],
    ["'baseline' in tags", ['a']],
    ['loss < 2 or batch.sequences = 32', ['a', 'b', "it's"]],
    ["optimizer.type = 'adamw' and batch.sequences > 8", ['b']],
    ['"batch.sequences" = 8', ['a']],
    ['BATCH.Sequences between 1 and 10', ['a']],
    ["recompute = '2'", ['b']],
    ["'y' in prompts", ['a']],
    ['average.decay is not null', ['b']],
    ["run = 'it''s'", ["it's"]],
    ["updated > '2026-01-01 00:01:00'", ['a']],
    ['updated < now() - interval 1 day', ['a', 'b', "it's"]],
    ['progress < 0.05', ['b', "it's"]],
    ["state = 'running'", []],
    ['1 = 1', ['a', 'b', "it's"]],
  ])('%s', async (where, expected) => {
    expect(await find(where)).toEqual(expected)
  })

  it('sees a tag at once', async () => {
    await tag('b', ['new'])
    expect(await find("'new' in tags")).toEqual(['b'])
    await tag('b', [])
    expect(await find("'new' in tags")).toEqual([])
  })

  it('has fields with their types', async () => {
    const { runs, settings } = await studio.json<FilterFields>('/api/filter/fields')
    expect(runs).toContainEqual({ name: 'loss', type: 'DOUBLE' })
    expect(settings).toContainEqual({ name: 'batch.sequences', type: 'DOUBLE' })
    expect(settings).toContainEqual({ name: 'prompts', type: 'VARCHAR[]' })
    expect(settings).toContainEqual({ name: 'recompute', type: 'VARCHAR' })
  })
})

describe('a wrong condition gets an answer in words:', () => {
  it.each([
    ['los < 2', 'There is no field los. Did you mean `loss`?'],
    ["run like 'a%' or title = 'batch.sequences'", 'There is no field title.'],
    ['batch.sequence = 2', 'batch'],
    ['loss <', 'incomplete'],
    ["loss < 'abc'", "Could not convert string 'abc' to DOUBLE"],
    ["state = 'running", "The quote ' is not closed"],
    ['loss < 2)', 'has no opening one'],
    ['(loss < 2', 'is not closed'],
    ['true) or (select 1', 'has no opening one'],
    ['loss < 2; drop table runs', 'one condition'],
    ['loss < 2 -- x', 'one condition'],
    ['sum(loss) > 1', 'aggregates'],
    ["exists(select 1 from read_csv('/etc/passwd'))", 'cannot read files'],
    ["exists(select 1 from read_text('/etc/passwd'))", 'cannot read files'],
    ["exists(select 1 from '/etc/passwd')", 'does not exist'],
    ["getenv('HOME') = 'x'", 'cannot be used'],
    ["x'", 'not closed'],
    ['a'.repeat(5000), 'at most 4000'],
  ])('%s', async (where, expected) => {
    expect(await find(where)).toMatch(new RegExp(expected.replaceAll(/[()]/g, '\\$&')))
  })

  it('one that takes too long is stopped, and the next one works', async () => {
    const slow = '(select count(*) from range(100000000000) t(a), range(1000) u(b) where a * b % 7 = 3) > 0'
    const [first, second] = await Promise.all([find(slow), find('loss < 2')])
    expect(first).toContain('took more than 2 seconds')
    expect(second).toEqual(['a', "it's"])
  })

  it('one that takes too much memory is refused', async () => {
    expect(await find("len(list_aggregate(range(200000000), 'string_agg', 'x')) > 0")).toContain('was stopped')
  })

  it('an unknown field of the query', async () => {
    expect(await studio.json('/api/filter?wher=1')).toMatchObject({
      error: { message: expect.stringContaining('Did you mean `where`?') },
    })
  })
})
