// Every line of the operator table within a plan: results and gradients have the shapes and dtypes that PyTorch's have, although no value
// of the inputs is known.
import { describe, expect, it } from 'vitest'
import * as api from '../../src/tensor/index.ts'
import { dtypeFacts, empty, gradients, ones, plan, scope, Tensor } from '../../src/tensor/index.ts'
import { methods } from '../../src/tensor/methods.ts'
import { decode, type GoldenCase, readGoldens } from './golden-tensors.ts'

type Callable = (...values: unknown[]) => unknown

/** Operators whose shapes depend on values that a plan does not have: they are refused, by name. */
const byValues = new Set(['nonzero', 'maskedSelect', 'unique', 'bincount', 'repeatInterleave'])

/** Scalars have values in plans. */
const isUnknown = ({ dtype, size }: Tensor): boolean =>
  dtypeFacts(dtype).floating && size * dtypeFacts(dtype).bytes > 16

const withoutValues = (value: unknown, made: Map<Tensor, Tensor>): unknown => {
  if (Array.isArray(value)) return value.map((one) => withoutValues(one, made))
  if (!(value instanceof Tensor) || !isUnknown(value)) return value
  const known = made.get(value)
  if (known !== undefined) return known
  const order = value.shape.map((_, i) => value.shape.length - 1 - i)
  const unknown = value.isContiguous
    ? empty([...value.shape], { dtype: value.dtype })
    : empty([...value.shape].reverse(), { dtype: value.dtype }).permute(order)
  unknown.requiresGrad = value.requiresGrad
  made.set(value, unknown)
  return unknown
}

const call = (golden: GoldenCase, made: Map<Tensor, Tensor>): unknown[] => {
  const inputs: Tensor[] = []
  const args = golden.args.map((argument) => withoutValues(decode(argument, inputs), made))
  const options = Object.fromEntries(
    Object.entries(golden.options).map(([key, value]) => [key, withoutValues(decode(value, inputs), made)] as const),
  )
  const passed = Object.keys(options).length > 0 ? [options] : []
  if (!(golden.entry in methods))
    return [(api as unknown as Record<string, Callable>)[golden.entry](...args, ...passed)].flat()
  const [self] = args.splice(golden.receiver, 1) as [Tensor]
  const receiver = golden.entry.endsWith('_') ? self.clone() : self
  return [(receiver as unknown as Record<string, Callable>)[golden.entry](...args, ...passed)].flat()
}

const shapeOf = ({ shape, dtype }: { shape: readonly number[]; dtype: string }) => `${dtype} [${shape}]`

const faultsOf = (golden: GoldenCase): string[] =>
  scope(() => {
    const made = new Map<Tensor, Tensor>()
    const outputs = call(golden, made)
    const faults: string[] = []
    const compare = (name: string, found: unknown, stored: GoldenCase['outputs'][number]) => {
      if ('value' in stored || !(found instanceof Tensor)) return
      if (shapeOf(found) !== shapeOf(stored)) faults.push(`${name}: ${shapeOf(found)}, expected ${shapeOf(stored)}`)
    }
    if (!golden.mutates) for (const [i, stored] of golden.outputs.entries()) compare(`output ${i}`, outputs[i], stored)
    const live = outputs.filter((output): output is Tensor => output instanceof Tensor && output.requiresGrad)
    const leaves = [...made.values()].filter(({ requiresGrad }) => requiresGrad)
    if (live.length === 0 || leaves.length === 0) return faults
    const weights = live.map(({ shape, dtype }) => ones([...shape], { dtype }))
    for (const [i, gradient] of gradients(live, leaves, { gradients: weights }).entries())
      if (gradient !== undefined && shapeOf(gradient) !== shapeOf(leaves[i]))
        faults.push(`gradient ${i}: ${shapeOf(gradient)}, expected ${shapeOf(leaves[i])}`)
    return faults
  })

const { cases } = readGoldens()

describe('shapes in a plan', () => {
  for (const entry of new Set(cases.map((golden) => golden.entry))) {
    if (byValues.has(entry)) continue
    it(entry, async () => {
      const faults: string[] = []
      for (const golden of cases.filter((one) => one.entry === entry))
        await plan(() => {
          try {
            faults.push(...faultsOf(golden).map((fault) => `${golden.operator} ${golden.dtype}: ${fault}`))
          } catch (error) {
            faults.push(`${golden.operator} ${golden.dtype}: ${(error as Error).message.slice(0, 160)}`)
          }
        })
      expect([...new Set(faults)]).toEqual([])
    })
  }
})
