// Measures who multiplies matrices faster on this machine, our kernels or the libraries in libtorch.
import { noGrad } from './autograd.ts'
import { linear, randn, setProducts, usesOwnProducts } from './functions.ts'
import { Generator } from './generator.ts'
import {
  type MeasuredProducts,
  type ProductChoices,
  type ProductDtype,
  type ProductForm,
  productDtypes,
  productForms,
} from './product-choices.ts'
import { getThreads, setThreads } from './runtime.ts'
import { scope } from './scope.ts'
import type { Tensor } from './tensor.ts'

/** A value for each dtype and form. */
const tableOf = <Value>(
  entryOf: (dtype: ProductDtype, form: ProductForm) => Value,
): Record<ProductDtype, Record<ProductForm, Value>> => {
  const rowOf = (dtype: ProductDtype) =>
    Object.fromEntries(productForms.map((form) => [form, entryOf(dtype, form)])) as Record<ProductForm, Value>
  return { float32: rowOf('float32'), bfloat16: rowOf('bfloat16') }
}

/** Who multiplies matrices in this process now. */
export const productChoices = (): ProductChoices =>
  tableOf((dtype, form) => (usesOwnProducts(dtype === 'bfloat16', productForms.indexOf(form)) ? 'own' : 'libraries'))

/** The choices in a few words, for records of runs: the makers of the forward pass, of gradients of inputs and of weights. */
export const productsLabel = (): string => {
  const choices = productChoices()
  return productDtypes.map((dtype) => `${dtype} ${Object.values(choices[dtype]).join('/')}`).join(', ')
}

const useProducts = (choices: ProductChoices): void => {
  for (const dtype of productDtypes) {
    const { forward, inputGradient, weightGradient } = choices[dtype]
    setProducts(dtype === 'bfloat16', forward, inputGradient, weightGradient)
  }
}

/** Inputs and outputs of the layers of BERT-base and GPT-2. */
const layers = [
  [768, 768],
  [768, 3072],
  [3072, 768],
] as const
const rows = 256

/** Turns of each side; the fastest counts. */
const turns = 5

/** How much faster a side must be to be chosen in place of the one in use. */
const margin = 1.05

const cpuSeconds = (): number => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

/** The product of a form: `linear` reads what it is given as the passes of a layer do. */
const productOf = (dtype: ProductDtype, form: ProductForm, depth: number, columns: number): (() => Tensor) => {
  const generator = new Generator(1)
  const make = (shape: number[]): Tensor => randn(shape, { generator }).to(dtype)
  const [input, weight, gradient] = [make([rows, depth]), make([columns, depth]), make([rows, columns])]
  const products: Record<ProductForm, () => Tensor> = {
    forward: () => linear(input, weight),
    inputGradient: () => linear(gradient, weight.t()),
    weightGradient: () => linear(gradient.t(), input.t()),
  }
  return products[form]
}

/** CPU time of the libraries divided by ours, of a form of all layers. */
const ratioOf = (dtype: ProductDtype, form: ProductForm, signal: AbortSignal | undefined): number => {
  const sum = { own: 0, libraries: 0 }
  for (const [depth, columns] of layers) {
    signal?.throwIfAborted()
    scope(() => {
      const product = productOf(dtype, form, depth, columns)
      const fastest = { own: Number.POSITIVE_INFINITY, libraries: Number.POSITIVE_INFINITY }
      // In turns, so that what else the machine does falls on both. The first turn is not counted.
      for (let turn = 0; turn <= turns; turn++)
        for (const maker of ['own', 'libraries'] as const) {
          setProducts(dtype === 'bfloat16', maker, maker, maker)
          const before = cpuSeconds()
          scope(() => void product())
          if (turn > 0) fastest[maker] = Math.min(fastest[maker], cpuSeconds() - before)
        }
      sum.own += fastest.own
      sum.libraries += fastest.libraries
    })
  }
  return sum.libraries / sum.own
}

/**
 * Measures the products of training steps, with one thread and by CPU time, and uses the faster side of each in this process
 * from then on. The side in use stays where neither is faster by 5 %. Takes a few seconds.
 * @param signal ends the measurement between two layers; what was in use before stays then
 */
export const measureProducts = (signal?: AbortSignal): MeasuredProducts => {
  const [threads, before] = [getThreads(), productChoices()]
  let chosen = before
  setThreads(1)
  try {
    const ratios = noGrad(() => tableOf((dtype, form) => ratioOf(dtype, form, signal)))
    chosen = tableOf((dtype, form) => {
      if (ratios[dtype][form] > margin) return 'own'
      return ratios[dtype][form] < 1 / margin ? 'libraries' : before[dtype][form]
    })
    return { choices: chosen, ratios, time: new Date().toISOString() }
  } finally {
    setThreads(threads)
    useProducts(chosen)
  }
}
