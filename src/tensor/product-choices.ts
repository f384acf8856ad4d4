// Who multiplies matrices where both can, our kernels or the libraries in libtorch: what `measureProducts` found on this
// machine, in the user's cache. Read once, before the first product of a process: a change would change the bits of results.
import { readFileSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { processorName, userCache, writeFileAtomic } from '../core/index.ts'

/** Our kernels, or MKL and oneDNN. */
type ProductMaker = 'own' | 'libraries'

/** The products of a linear layer, which read their operands in other directions, in the order of the addon's numbers. */
export const productForms = ['forward', 'inputGradient', 'weightGradient'] as const
export type ProductForm = (typeof productForms)[number]

export const productDtypes = ['float32', 'bfloat16'] as const
export type ProductDtype = (typeof productDtypes)[number]

/** Who multiplies matrices, unless batch-invariant results are asked for, which only our kernels give. */
export type ProductChoices = Record<ProductDtype, Record<ProductForm, ProductMaker>>

/** What was measured on a machine. */
export interface MeasuredProducts {
  choices: ProductChoices
  /** CPU time of the libraries divided by ours: above 1 where our kernels are faster. */
  ratios: Record<ProductDtype, Record<ProductForm, number>>
  /** When, in UTC. */
  time: string
}

const choicesFile = (): string => userCache('product-choices.json')

/** Machines that are kept, where several share a home folder. */
const mostKept = 20

/** Another build may have other kernels. */
const keyOf = (addon: string): string => `${processorName()} · ${basename(dirname(addon))}`

const isMaker = (value: unknown): value is ProductMaker => value === 'own' || value === 'libraries'

const readAll = (): Record<string, MeasuredProducts> => {
  try {
    const all = JSON.parse(readFileSync(choicesFile(), 'utf8')) as Record<string, MeasuredProducts>
    const isSound = (entry: MeasuredProducts): boolean =>
      productDtypes.every((dtype) => productForms.every((form) => isMaker(entry?.choices?.[dtype]?.[form])))
    return Object.fromEntries(Object.entries(all).filter(([, entry]) => isSound(entry)))
  } catch {
    // A missing or damaged file of the cache counts as nothing known.
    return {}
  }
}

/** What was measured on this machine with this addon. */
export const storedProducts = (addon: string): MeasuredProducts | undefined => readAll()[keyOf(addon)]

/** Keeps what was measured for later processes. @returns the path of the file */
export const storeProducts = async (addon: string, measured: MeasuredProducts): Promise<string> => {
  const { [keyOf(addon)]: _, ...others } = readAll()
  const all = [...Object.entries(others).slice(1 - mostKept), [keyOf(addon), measured] as const]
  await writeFileAtomic(choicesFile(), `${JSON.stringify(Object.fromEntries(all), null, 2)}\n`)
  return choicesFile()
}
