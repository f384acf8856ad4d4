// The strict device: what it computes equals the CPU, what a GPU would refuse is an error, and what would make the host wait is counted.
import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { toTypedError } from './error-messages.ts'
import {
  blockLinear,
  cat,
  checkpoint,
  deviceMemory,
  enableStrictDevice,
  expectDevice,
  Generator,
  gradients,
  isOutOfMemory,
  linear,
  ones,
  randn,
  resetDevicePeak,
  type StrictDeviceCounts,
  scaledDotProductAttention,
  scope,
  setMemoryLimit,
  setStrictMemory,
  strictDeviceCounts,
  Tensor,
  tensor,
  upload,
  zeros,
} from './index.ts'

const device = 'strict'
const generator = new Generator(11)
const onDevice = (x: Tensor): Tensor => x.to({ device })

/** What `body` adds to the counts. */
const counted = (body: () => unknown): StrictDeviceCounts => {
  const before = strictDeviceCounts() as StrictDeviceCounts
  body()
  const after = strictDeviceCounts() as StrictDeviceCounts
  const names = Object.keys(after) as (keyof StrictDeviceCounts)[]
  return Object.fromEntries(names.map((name) => [name, after[name] - before[name]])) as unknown as StrictDeviceCounts
}

it('is no device before it is enabled', () => {
  expect(strictDeviceCounts()).toBeUndefined()
  expect(() => expectDevice('strict')).toThrow('Expected a valid `device`, got "strict"')
  enableStrictDevice()
  enableStrictDevice()
  expect(expectDevice('strict')).toBe('strict')
  expect(() => expectDevice('strict:1')).toThrow('Expected a valid `device`')
})

describe('tensors', () => {
  it('are created, copied, viewed and converted as on the CPU', () => {
    const x = randn([4, 6], { generator })
    const there = onDevice(x)
    expect(there.device).toBe('strict:0')
    expect(there.to({ device: 'cpu' }).toArray()).toEqual(x.toArray())
    expect(there.toArray()).toEqual(x.toArray())
    expect(zeros([2, 3], { device }).add(1).toArray()).toEqual([
      [1, 1, 1],
      [1, 1, 1],
    ])
    const part = there.t().narrow(0, 1, 3)
    expect(part.sharesStorageWith(there)).toBe(true)
    expect(part.toArray()).toEqual(x.t().narrow(0, 1, 3).toArray())
    part.fill_(2)
    expect(there.select(1, 2).toArray()).toEqual([2, 2, 2, 2])
    expect(there.to({ dtype: 'bfloat16' }).dtype).toBe('bfloat16')
    expect(there.view([2, 12]).contiguous().reshape([24]).shape).toEqual([24])
    const copy = zeros([4, 6], { device })
    copy.copy_(x)
    expect(copy.toArray()).toEqual(x.toArray())
    expect(String(copy)).toContain('device=strict:0')
  })

  it('give the values and gradients of the CPU', () => {
    const inputs = [[5, 7], [3, 7], [3]].map((shape) => randn(shape, { generator }))
    const loss = ([x, w, b]: Tensor[]) => x.matmul(w.t()).add(b).tanh().pow(2).softmax(-1).log().select(1, 0).sum()
    const run = (leaves: Tensor[]) => {
      for (const leaf of leaves) leaf.requiresGrad = true
      const value = loss(leaves)
      return [value, ...gradients([value], leaves)].map((one) => (one as Tensor).detach().toFloat32Array())
    }
    expect(run(inputs.map(onDevice))).toEqual(run(inputs.map((x) => x.clone())))
  })

  it('call backward functions in JavaScript, as recomputation has them', () => {
    const w = onDevice(randn([4, 4], { generator }))
    w.requiresGrad = true
    const x = onDevice(randn([2, 4], { generator }))
    x.requiresGrad = true
    const layer = (input: Tensor) => input.matmul(w).tanh()
    const [plain] = gradients([layer(x).sum()], [x])
    const [again] = gradients([checkpoint(layer, [x]).sum()], [x])
    expect(again?.toArray()).toEqual(plain?.toArray())
  })

  it('attend with the operator of libtorch', () => {
    const [q, k, v] = [0, 1, 2].map(() => randn([2, 3, 5, 8], { generator }))
    const there = scaledDotProductAttention(onDevice(q), onDevice(k), onDevice(v), { isCausal: true })
    const here = scaledDotProductAttention(q, k, v, { isCausal: true })
    expect(there.sub(onDevice(here)).abs().max().item()).toBeLessThan(1e-6)
  })
})

describe('random numbers', () => {
  it('of a generator are those of the CPU', () => {
    const random = () => new Generator(3)
    const x = zeros([5, 2], { device })
    expect(x.uniform_(1, 2, { generator: random() }).toArray()).toEqual(
      zeros([5, 2]).uniform_(1, 2, { generator: random() }).toArray(),
    )
    const made = randn([4], { generator: random(), device })
    expect(made.device).toBe('strict:0')
    expect(made.toArray()).toEqual(randn([4], { generator: random() }).toArray())
    const chances = zeros([30], { device }).add(0.4)
    expect(chances.bernoulli({ generator: random() }).toArray()).toEqual(
      chances.to({ device: 'cpu' }).bernoulli({ generator: random() }).toArray(),
    )
  })

  it('without a generator are made on the device', () => {
    expect(zeros([50], { device }).uniform_(1, 2).min().item()).toBeGreaterThanOrEqual(1)
  })
})

describe('mixtures', () => {
  const x = () => zeros([2, 3], { device })

  it('are refused, with the operator, the argument and both devices', () => {
    expect(() => x().add(zeros([2, 3]))).toThrow(/add.*two devices, strict:0 and cpu/)
    expect(() => x().indexSelect(0, tensor([0], { dtype: 'int64' }))).toThrow(
      /Expected all tensors of aten::index_select on strict:0, got `index` of shape \[1\] on cpu\. Copy it/,
    )
    expect(() => x().matmul(zeros([3, 2]))).toThrow('on cpu')
    expect(() => cat([x(), zeros([2, 3])])).toThrow('on cpu')
    expect(() => zeros([2, 3]).add_(x())).toThrow()
    expect(() => zeros([2, 3]).mul(x())).toThrow()
  })

  it('are allowed where a GPU allows them: scalars of the CPU beside elements', () => {
    expect(x().add(tensor(2)).sum().item()).toBe(12)
    expect(() => x().matmul(tensor(2))).toThrow()
    expect(() => zeros([], { device: 'cpu' }).add_(x().sum())).toThrow('strict:0 and cpu')
  })

  it('of fused operators are refused before they compute', () => {
    expect(() => linear(x(), zeros([4, 3]))).toThrow(
      /^linear.*Expected all tensors on one device, got strict:0 and cpu\. Copy them/,
    )
    expect(() => linear(zeros([2, 3]), onDevice(zeros([4, 3])))).toThrow('on one device, got cpu and strict:0')
  })

  it('with operators that have a kernel for the CPU only say so', () => {
    expect(() => blockLinear(x(), zeros([1, 34], { dtype: 'uint8' }), 'Q8_0')).toThrow(
      /^blockLinear.*`input`, got one on strict:0\. The operator has a kernel for the CPU only/,
    )
  })
})

describe('counts', () => {
  it('reads and copies are counted, and other work is not', () => {
    const x = onDevice(randn([6, 3], { generator }))
    const none = { waits: 0, uploads: 0, downloads: 0 }
    expect(counted(() => x.mul(2).matmul(x.t()).softmax(-1))).toMatchObject(none)
    expect(counted(() => x.sum().item())).toMatchObject({ ...none, waits: 1 })
    expect(counted(() => x.toFloat32Array())).toMatchObject({ ...none, waits: 1, downloads: 1 })
    // The host waits for copies from memory that is not pinned.
    expect(counted(() => onDevice(zeros([2])))).toMatchObject({ ...none, uploads: 1, waits: 1 })
    expect(counted(() => Tensor.from([1, 2], { device }))).toMatchObject({ ...none, uploads: 1 })
    expect(counted(() => upload(zeros([2]), device))).toMatchObject({ ...none, uploads: 1 })
    expect(counted(() => x.gt(0).nonzero())).toMatchObject({ ...none, waits: 1 })
    expect(counted(() => x.equal(x))).toMatchObject({ ...none, waits: 1 })
  })
})

describe('copies from pinned memory', () => {
  it('have the values of the tensor, and leave the CPU as it is', () => {
    const x = randn([5, 3], { generator })
    expect(upload(x.t(), device).toArray()).toEqual(x.t().toArray())
    expect(upload(x, 'cpu')).toBe(x)
    expect(upload(zeros([0, 3]), device).shape).toEqual([0, 3])
    expect(() => upload(x, 'strict:3')).toThrow('Expected a valid `device`, got "strict:3"')
  })

  it('do not share memory before the device has done them', () => {
    // No operator between them, so the device has done none when the last one is asked for.
    const all = Array.from({ length: 40 }, (_, i) => Tensor.from([i, -i], { device }))
    expect(all.map((one) => one.toArray())).toEqual(all.map((_, i) => [i, -i]))
  })

  it('are done in the order of the operators', () => {
    const x = Tensor.from([1, 2], { device })
    const y = x.add(1)
    x.copy_(upload(tensor([5, 6]), device))
    expect([x.toArray(), y.toArray()]).toEqual([
      [5, 6],
      [2, 3],
    ])
  })
})

describe('memory of the device', () => {
  const memory = () => deviceMemory(device) as NonNullable<ReturnType<typeof deviceMemory>>

  it('counts tensors, their peak and what is kept for reuse', () => {
    expect(deviceMemory('cpu')).toBeUndefined()
    resetDevicePeak(device)
    const before = memory()
    const x = zeros([1 << 18], { device })
    const sum = x.add(1)
    expect(memory().inUse - before.inUse).toBe(2 << 20)
    x.free()
    sum.free()
    const after = memory()
    expect(after.inUse).toBe(before.inUse)
    expect(after.peak - before.inUse).toBe(2 << 20)
    expect(after.cached).toBeGreaterThanOrEqual(2 << 20)
    expect(after.total - after.free).toBe(after.inUse + after.cached)
    expect(after.device).toBe('strict:0')
  })

  it('is an error when it is full, which says what it holds; the cache is released for another try', () => {
    const x = ones([1 << 18], { device })
    setStrictMemory(memory().inUse + (1 << 20))
    try {
      const { emptied } = strictDeviceCounts() as StrictDeviceCounts
      x.add(1).free()
      let error: unknown
      try {
        x.expand([2, 1 << 18]).contiguous()
      } catch (thrown) {
        error = thrown
      }
      expect(String(error)).toMatch(
        /^OutOfMemoryError: contiguous\(.*\): not enough memory on strict:0: tried to allocate 2 MiB\. Of its [\d.]+ MiB, tensors of this process have [\d.]+ MiB, 1 MiB are kept for reuse, the driver and other programs have 0 B, 0 B are free$/,
      )
      expect(isOutOfMemory(error)).toBe(true)
      expect(isOutOfMemory(new Error('another'))).toBe(false)
      expect((strictDeviceCounts() as StrictDeviceCounts).emptied).toBe(emptied + 1)
      // Not 0 where tensors of earlier tests are collected meanwhile.
      expect(memory().cached).toBeLessThan(1 << 19)
      expect(x.add(1).select(0, 0).item()).toBe(2)
    } finally {
      setStrictMemory(undefined)
    }
  })

  it('has a limit, which operators and backward passes are held to, and keeps its peak', async () => {
    // Else tensors of earlier tests would be freed in the middle.
    setFlagsFromString('--expose-gc')
    runInNewContext('gc')()
    await setImmediate()
    const bytes = memory().inUse + (9 << 19)
    setMemoryLimit(bytes, device)
    try {
      expect(memory().limit).toBe(bytes)
      const x = zeros([1 << 18], { device })
      x.requiresGrad = true
      expect(() => x.expand([6, 1 << 18]).contiguous()).toThrow(
        `not enough memory on strict:0: tensors took ${memory().inUse + (6 << 20)} bytes, over the limit of ${bytes} bytes set for this process`,
      )
      const { peak } = memory()
      expect(peak).toBe(memory().inUse + (6 << 20))
      // What failed is freed, so that less still fits.
      x.detach().add(1).free()
      expect(memory().peak).toBe(peak)
      const sum = () => scope(() => x.mul(2).mul(x.exp()).sum())
      expect(() => sum().backward()).toThrow('over the limit')
      x.grad = undefined
      expect(() => gradients([sum()], [x])).toThrow('over the limit')
    } finally {
      setMemoryLimit(undefined, device)
    }
    expect(memory().limit).toBeUndefined()
    zeros([6 << 18], { device }).free()
    expect(() => setMemoryLimit(0, device)).toThrow('Expected a positive whole number of bytes')
  })
})

it('errors of CUDA and its libraries for want of memory are those of a full card', () => {
  for (const text of [
    'CUDA error: out of memory',
    'CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`',
  ])
    expect(toTypedError('linear', [], Object.assign(new Error(text), { code: 'TORCH' })).name).toBe('OutOfMemoryError')
  const other = Object.assign(new Error('CUDA error: unspecified launch failure'), { code: 'TORCH' })
  expect(toTypedError('linear', [], other).name).toBe('NativeError')
})
