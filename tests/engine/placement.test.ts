// A wrong device or dtype is refused in our words, with the option's name, by operators, functions and commands alike. The expected
// sentences are written by hand; this suite runs on machines without CUDA too, so it asks libtorch which sentence is due.
import { describe, expect, it } from 'vitest'
import { loadAdapter } from '../../src/adapters/index.ts'
import { loadModel } from '../../src/checkpoint/index.ts'
import { parseCommandLine } from '../../src/cli/command-line.ts'
import { commands } from '../../src/cli/commands/index.ts'
import { loadFeatureModel } from '../../src/features/index.ts'
import { open } from '../../src/inference/index.ts'
import { openSpecialists, pretrain } from '../../src/runs/index.ts'
import { buildFacts, type Dtype, deviceNotice, full, ones, Tensor, zeros } from '../../src/tensor/index.ts'

const unknown = 'Expected a valid `device`, got "foo". Choose cpu, cuda, cuda:0 or mps.'
const { cuda, cudaDevices } = buildFacts()
const absent = cuda
  ? /^Expected a valid `device`, got "cuda:99"\. This machine has /
  : /^Expected a valid `device`, got "cuda:99"\. This libtorch has no CUDA: choose cpu, or run `npm run setup -- --cuda`\.$/

describe('a device', () => {
  it.each<[string, (device: string) => unknown]>([
    ['zeros', (device) => zeros([2], { device })],
    ['full', (device) => full([2], 1, { device })],
    ['to', (device) => ones([2]).to({ device })],
    ['Tensor.from', (device) => Tensor.from([1], { device })],
  ])('that is unknown or absent is refused by %s', (_, call) => {
    expect(() => call('foo')).toThrow(unknown)
    expect(() => call('cuda:99')).toThrow(absent)
    expect(() => call('cuda:x')).toThrow(/got "cuda:x"\. (Did you mean `cuda`\? )?Choose cpu, cuda, cuda:0 or mps\.$/)
    expect(() => call('cud')).toThrow('got "cud". Did you mean `cuda`? Choose cpu, cuda, cuda:0 or mps.')
    expect(() => call('gpu')).toThrow(
      /got "gpu"\. .*NVIDIA cards are cuda, the GPU of a Mac is mps; others are not supported\. Choose cpu/,
    )
    expect(() => call('mps')).toThrow(/got "mps"\. This (libtorch has no MPS|machine has no MPS device)/)
    expect(() => call(3 as never)).toThrow('Expected a valid `device`, got 3. Choose cpu')
    expect(() => call('cpu')).not.toThrow()
  })

  it.skipIf(cudaDevices > 0)('`cuda` is refused without one (skipped where there is one)', () => {
    expect(() => zeros([2], { device: 'cuda' })).toThrow(/got "cuda"\. This (libtorch has no CUDA|machine has no CUDA)/)
  })

  it('is refused before any file is read', async () => {
    const device = 'foo'
    await expect(loadModel('/nowhere', { device })).rejects.toThrow(unknown)
    await expect(loadAdapter('/nowhere', { device })).rejects.toThrow(unknown)
    await expect(open('/nowhere', { device })).rejects.toThrow(unknown)
    await expect(openSpecialists('/nowhere', {}, { device })).rejects.toThrow(unknown)
    await expect(loadFeatureModel('/nowhere', { device })).rejects.toThrow(unknown)
  })

  it('is refused in a recipe and by every command that takes one, by the name that the user typed', async () => {
    const recipe = { data: 'shards', tokenizer: 'tokenizer', out: 'out', model: { type: 'bert' } } as const
    await expect(pretrain({ ...recipe, objective: { type: 'masked-lm' }, device: 'foo' })).rejects.toThrow(
      'Expected a valid `pretrain.device`, got "foo". Choose cpu, cuda, cuda:0 or mps.',
    )
    let tried = 0
    for (const load of Object.values(commands)) {
      const command = await load()
      if (!('device' in command.options.shape)) continue
      tried++
      // Whatever else is missing is in the same message.
      await expect(parseCommandLine(command, ['--device', 'foo'])).rejects.toThrow(
        'Expected a valid `--device`, got "foo". Choose cpu, cuda, cuda:0 or mps.',
      )
      await expect(parseCommandLine(command, ['--device', 'cuda:99'])).rejects.toThrow(
        cuda
          ? 'Expected a valid `--device`, got "cuda:99". This machine has '
          : 'Expected a valid `--device`, got "cuda:99". This libtorch has no CUDA: choose cpu, or run',
      )
      if (cudaDevices === 0) continue
      const parsed = parseCommandLine(command, ['--device', 'cuda:0']).catch((error: Error) => error.message)
      expect(String(await parsed)).not.toContain('--device')
    }
    expect(tried).toBeGreaterThan(6)
  })
})

it('one that no release has been run on is named once, with how to check it', () => {
  for (const device of ['cuda', 'cuda:1'])
    expect(deviceNotice(device)).toBe(
      'No release of Tunesmith has been run on a GPU yet: the benchmark `gpu` of a clone compares this one with its CPU.',
    )
  for (const device of ['cpu', 'strict', 'cudax']) expect(deviceNotice(device)).toBeUndefined()
})

describe('a dtype', () => {
  const dtype = 'float' as Dtype
  const message = /^Expected one of float32, .*, uint64 for `dtype`, got "float"\. Did you mean `float32`\?$/

  it('that is unknown is refused by operators', () => {
    expect(() => zeros([2], { dtype })).toThrow(message)
    expect(() => ones([2]).to(dtype)).toThrow(message)
    expect(() => ones([2]).to({ dtype })).toThrow(message)
    expect(() => Tensor.from([1], { dtype })).toThrow(message)
  })

  it('that parameters cannot have is refused before any file is read', async () => {
    await expect(loadModel('/nowhere', { dtype })).rejects.toThrow(message)
    await expect(loadModel('/nowhere', { dtype: 'int8' })).rejects.toThrow(
      'Expected a floating `dtype` for parameters, got int8. Choose float32, bfloat16, float16 or float64.',
    )
  })
})
