// The faults of `npm run test:mutants`: each is in the text, and the one whose number is active computes something else.
import { transformSync } from 'esbuild'
import { afterEach, expect, it } from 'vitest'
import { loadScript } from './load-script.ts'

type Mutant = { id: number; file: string; line: number; mutator: string; replacement: string; place: number }
type Instrumented = { texts: Map<string, string>; mutants: Mutant[]; places: number }
type Instrument = { instrument: (files: { name: string; content: string }[]) => Promise<Instrumented> }
const { instrument } = await loadScript<Instrument>('../mutants/instrument.mjs')

const state = globalThis as { tunesmithMutant?: number; tunesmithReached?: Uint8Array }
afterEach(() => {
  delete state.tunesmithMutant
  delete state.tunesmithReached
})

const source = `export const mean = (sum: number, count: number): number => {
  if (count < 1) throw new RangeError('no mean of ' + (count + 0))
  return sum / count
}
`

/** The function of the text, with the mutant of that number. */
const load = (text: string, mutant: number): ((sum: number, count: number) => number) => {
  const { code } = transformSync(text, { loader: 'ts', format: 'cjs' })
  const module = { exports: {} as { mean: (sum: number, count: number) => number } }
  state.tunesmithMutant = mutant
  new Function('module', code)(module)
  return module.exports.mean
}

it('a mutant is off until its number is active, and its place records that it was executed', async () => {
  const { texts, mutants, places } = await instrument([{ name: 'mean.ts', content: source }])
  const product = mutants.find(({ mutator }) => mutator === 'ArithmeticOperator')!
  expect(product).toMatchObject({ file: 'mean.ts', line: 3, replacement: 'sum * count' })

  const text = texts.get('mean.ts')!
  const mean = load(text, -1)
  expect(state.tunesmithReached).toHaveLength(places)
  expect(state.tunesmithReached![product.place]).toBe(0)
  expect(mean(6, 2)).toBe(3)
  expect(state.tunesmithReached![product.place]).toBe(1)
  expect(load(text, product.id)(6, 2)).toBe(12)
})

it('texts for people have no mutants', async () => {
  const { mutants } = await instrument([{ name: 'mean.ts', content: source }])
  expect(mutants.filter(({ line }) => line === 2).map(({ mutator }) => mutator)).toContain('EqualityOperator')
  expect(mutants.map(({ mutator }) => mutator)).not.toContain('StringLiteral')
  expect(mutants.filter(({ replacement }) => replacement === 'count - 0')).toEqual([])
})

it('every mutant is valid code in the text', async () => {
  const { texts, mutants } = await instrument([{ name: 'mean.ts', content: source }])
  const result = (mutant: number): string => {
    try {
      return String(load(texts.get('mean.ts')!, mutant)(0, 0))
    } catch (error) {
      return String(error)
    }
  }
  expect(result(-1)).toBe('RangeError: no mean of 0')
  // At least the condition, the comparison and the body make another result of it.
  expect(new Set(mutants.map(({ id }) => result(id))).size).toBeGreaterThan(2)
})
