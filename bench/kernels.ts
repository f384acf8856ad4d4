// `npm run bench -- kernels`: the products of known models, ours and those of the libraries in libtorch (MKL, oneDNN), with one thread: for
// every shape the share of what the instructions of this processor compute in registers (`peakRate`). Rates are by CPU time, so they mean
// something on a busy machine too, where memory and the caches are shared though. The shares of float32 are of float32's instructions, those
// of bfloat16 of tiles where there are any, those of int8, nf4 and blocks likewise: they say how far arithmetic bounds a product, and small
// ones of one row that memory does.
// Options: --models bert-base,gpt2,…, --rows 1,8,64,512, --kinds float32,bfloat16,int8,nf4,Q4_0,…, --seconds of CPU time for each.
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Rates, Shape } from './kernels/rates.ts'
import type { BenchOptions } from './main.ts'
import { chosenParts, printTable, runOurs } from './side-by-side.ts'

const here = dirname(fileURLToPath(import.meta.url))

/** Sizes of models: hidden, keys and values, feed-forward, vocabulary. */
const models: Record<string, { hidden: number; keys: number; inner: number; vocabulary: number }> = {
  'bert-base': { hidden: 768, keys: 768, inner: 3072, vocabulary: 30_522 },
  gpt2: { hidden: 768, keys: 768, inner: 3072, vocabulary: 50_257 },
  'smollm2-135m': { hidden: 576, keys: 192, inner: 1536, vocabulary: 49_152 },
  'minilm-l6': { hidden: 384, keys: 384, inner: 1536, vocabulary: 30_522 },
}
const kinds = ['float32', 'bfloat16', 'int8', 'nf4', 'Q4_0', 'Q4_1', 'Q8_0', 'Q4_K', 'Q6_K']
/** Kinds that libtorch's libraries multiply too. */
const shared = ['float32', 'bfloat16']

const option = (rest: readonly string[], name: string): string | undefined => {
  const at = rest.indexOf(`--${name}`)
  return at < 0 ? undefined : rest[at + 1]
}
const numbersOf = (text: string, name: string): number[] =>
  text.split(',').map((word) => {
    const number = Number(word)
    if (!(number > 0)) throw new Error(`Expected positive numbers by commas for \`--${name}\`, got ${word}.`)
    return number
  })

/** Distinct products of a model, by what they are for. */
const shapesOf = (name: string, rows: number): [label: string, shape: Shape][] => {
  const { hidden, keys, inner, vocabulary } = models[name]
  const all: [string, number, number][] = [
    ['query, output', hidden, hidden],
    ['key, value', hidden, keys],
    ['up', hidden, inner],
    ['down', inner, hidden],
    ['tokens', hidden, vocabulary],
  ]
  return all
    .filter(([, depth, columns], i) => all.findIndex((other) => other[1] === depth && other[2] === columns) === i)
    .map(([label, depth, columns]) => [label, { rows, depth, columns }])
}

/** The instructions that bound a kind: the fastest that it could use. */
const peakOf = (kind: string, peaks: Record<string, number>): number => {
  if (kind === 'float32') return peaks.float32
  const base = kind === 'bfloat16' ? 'bfloat16' : 'int8'
  // Where a processor has neither, products of bfloat16 are computed in float32.
  return Math.max(peaks[base], peaks[`${base}-tiles`]) || peaks.float32
}

export const run = async ({ smoke, rest }: BenchOptions): Promise<void> => {
  const chosen = chosenParts(option(rest, 'models') ?? Object.keys(models).join(), Object.keys(models))
  const wanted = chosenParts(option(rest, 'kinds') ?? kinds.join(), kinds)
  const rowCounts = smoke ? [1] : numbersOf(option(rest, 'rows') ?? '1,8,64,512', 'rows')
  const seconds = smoke ? 0.001 : numbersOf(option(rest, 'seconds') ?? '0.2', 'seconds')[0]
  const measure = (shapes: readonly Shape[], some: readonly string[], products: 'own' | 'aten') =>
    runOurs<Rates>(join(here, 'kernels', 'rates.ts'), [JSON.stringify(shapes), some.join(), String(seconds)], {
      OMP_NUM_THREADS: '1',
      TUNESMITH_GEMM: products,
    })
  const libraries = wanted.filter((kind) => shared.includes(kind))
  for (const name of smoke ? chosen.slice(0, 1) : chosen)
    for (const rows of rowCounts) {
      const shapes = shapesOf(name, rows).slice(0, smoke ? 1 : undefined)
      const list = shapes.map(([, shape]) => shape)
      const ours = await measure(list, wanted, 'own')
      const theirs = libraries.length === 0 ? undefined : await measure(list, libraries, 'aten')
      const peaks = Object.entries(ours.peaks).filter(([, rate]) => rate > 0)
      console.log(
        `\n${name}, ${rows} ${rows === 1 ? 'row' : 'rows'}; GOP/s in registers: ${peaks
          .map(([kind, rate]) => `${kind} ${(rate / 1e9).toFixed(0)}`)
          .join(', ')}`,
      )
      const cell = (rate: number, kind: string, all: Record<string, number>) =>
        rate === 0 ? '-' : `${(rate / 1e9).toFixed(1)} (${((100 * rate) / peakOf(kind, all)).toFixed(0)} %)`
      const columns = wanted.flatMap((kind) =>
        libraries.includes(kind) ? [kind, `${kind}, library`, 'ratio'] : [kind],
      )
      printTable([
        ['product', ...columns],
        ...shapes.map(([label, { depth, columns: width }], i) => [
          `${label} ${depth} x ${width}`,
          ...wanted.flatMap((kind) => {
            const own = ours.rates[kind][i]
            if (!libraries.includes(kind) || theirs === undefined) return [cell(own, kind, ours.peaks)]
            const other = theirs.rates[kind][i]
            return [cell(own, kind, ours.peaks), cell(other, kind, theirs.peaks), (own / other).toFixed(2)]
          }),
        ]),
      ])
    }
}
