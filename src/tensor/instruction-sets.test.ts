// The vector code is chosen by the processor: tests of kernels run again with every other that it can run, in processes of
// their own.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { isFull } from '../../tests/grid.ts'
import { instructionSet, peakRate } from './index.ts'
import { callable } from './operator.ts'
import { entry } from './operator-entry.ts'

const usable = (callable('usable', entry<() => string[]>('tunesmith::instruction_sets()')) as () => string[])()
const chosen = instructionSet()
const root = fileURLToPath(new URL('../../', import.meta.url))

const pairs = ['src/tensor/kernels.test.ts', 'src/tensor/activations.test.ts', 'src/tensor/pair-products.test.ts']
const bytes = ['src/tensor/block-kernels.test.ts', 'tests/parity/quantized.test.ts']
const products = [...pairs, ...bytes]
const all = [...products, 'tests/export/quantize.test.ts']
/** Products of bytes are all that VNNI changes, and tiles quantise nothing. */
const tested: Record<string, readonly string[]> = {
  avx2vnni: bytes,
  avx512vnni: bytes,
  amx: products,
  'emulated-amx': products,
}

interface Run {
  isa: string
  files: readonly string[]
  gemm?: string
}
const others: Run[] = usable
  .filter((isa) => isa !== chosen)
  // The nearest and the oldest; in `npm run test:full` those between, too.
  .filter((_, i, { length }) => isFull || i === 0 || i === length - 1)
  .map((isa) => ({ isa, files: tested[isa] ?? all }))
// Small products of bf16, which the libraries compute otherwise.
const own: Run[] = [...(isFull ? ['emulated'] : []), ...(peakRate('bfloat16') > 0 ? ['avx512bf16'] : [])].map(
  (isa) => ({
    isa,
    files: pairs,
    gemm: 'own',
  }),
)

describe('the vector code', () => {
  it('is the first that this processor can run, or the one that TUNESMITH_ISA names', () => {
    expect(chosen).toBe(process.env.TUNESMITH_ISA || usable[0])
  })

  it('is refused where the processor lacks it', () => {
    const script = "const { instructionSet } = await import('./src/tensor/index.ts'); instructionSet()"
    const { status, stderr } = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
      cwd: root,
      encoding: 'utf8',
      env: { ...process.env, TUNESMITH_ISA: 'avx3' },
    })
    expect(status).not.toBe(0)
    expect(stderr).toContain(`Expected one of ${usable.join(', ')} in TUNESMITH_ISA on this processor, got avx3.`)
  })

  describe.skipIf(process.arch !== 'x64' || chosen === 'baseline')(
    'of other processors (x86-64 with AVX2 only)',
    () => {
      it.each([...others, ...own])('$isa passes the tests of kernels, products: $gemm', ({ isa, files, gemm }) => {
        const run = spawnSync(
          process.execPath,
          ['node_modules/vitest/vitest.mjs', 'run', '--project', 'cpu', ...files, '--reporter=dot', '--no-isolate'],
          {
            cwd: root,
            encoding: 'utf8',
            env: { ...process.env, TUNESMITH_ISA: isa, ...(gemm !== undefined && { TUNESMITH_GEMM: gemm }) },
          },
        )
        expect(run.status, `${run.stdout}\n${run.stderr}`).toBe(0)
      })
    },
  )
})
