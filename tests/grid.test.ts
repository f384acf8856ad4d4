// Covers of grids: few cases, and none of the values or pairs missing.
import { expect, it, vi } from 'vitest'

const load = async (tests: string) => {
  vi.stubEnv('TUNESMITH_TESTS', tests)
  vi.resetModules()
  return import('./grid.ts')
}
const axes = [
  [1, 2, 3, 4, 5],
  ['a', 'b', 'c'],
  [true, false],
] as const
const grid = axes[0].flatMap((x) => axes[1].flatMap((y) => axes[2].map((z) => [x, y, z] as const)))

it('each value occurs as often as asked, in few cases', async () => {
  const { eachValue } = await load('')
  const chosen = eachValue(grid, (of) => of, 2)
  for (const [axis, values] of axes.entries())
    for (const value of values) expect(chosen.filter((of) => of[axis] === value).length).toBeGreaterThanOrEqual(2)
  expect(chosen.length).toBeLessThanOrEqual(11)
})

it('each pair of values occurs', async () => {
  const { pairwise } = await load('')
  const chosen = pairwise(grid, (of) => of)
  const pairsOf = (cases: typeof grid) => new Set(cases.flatMap(([x, y, z]) => [`${x}${y}`, `${x}${z}`, `${y}${z}`]))
  expect(pairsOf(chosen)).toEqual(pairsOf(grid))
  expect(chosen.length).toBeLessThan(grid.length * 0.7)
})

it('values that rarely occur are no reason to search on', async () => {
  const { eachValue } = await load('')
  expect(eachValue([['a'], ['b'], ['a'], ['a']], (of) => of, 2)).toEqual([['a'], ['b'], ['a']])
})

it('all cases are in the full suite', async () => {
  const { eachValue, pairwise } = await load('full')
  expect([eachValue(grid, (of) => of), pairwise(grid, (of) => of)]).toEqual([grid, grid])
})
