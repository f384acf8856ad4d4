import { expect, it } from 'vitest'
import { seedsOfPrompts } from './prompt-seeds.ts'

it('gives each prompt a seed of its own, the same for any number of prompts', () => {
  expect(seedsOfPrompts(7, 1)).toBe(7)
  const five = seedsOfPrompts(7, 5) as number[]
  expect(five[0]).toBe(7)
  expect(new Set(five).size).toBe(5)
  expect(five.every((seed) => Number.isSafeInteger(seed) && seed >= 0)).toBe(true)
  expect(seedsOfPrompts(7, 3)).toEqual(five.slice(0, 3))
  expect((seedsOfPrompts(8, 5) as number[]).slice(1).some((seed) => five.includes(seed))).toBe(false)
})
