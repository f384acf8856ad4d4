// Graphs of a device on the strict one, which refuses what a capture of CUDA refuses and leaves no values before a replay.
import { describe, expect, it } from 'vitest'
import {
  DeviceGraph,
  enableStrictDevice,
  Generator,
  hasDeviceGraphs,
  liveTensors,
  randn,
  type StrictDeviceCounts,
  strictDeviceCounts,
  Tensor,
  tensor,
  upload,
  zeros,
} from './index.ts'

enableStrictDevice()
const device = 'strict'
const generator = new Generator(3)
const counts = () => strictDeviceCounts() as StrictDeviceCounts

describe('a graph', () => {
  it('computes from what its inputs hold at each replay, into the same result', () => {
    const input = upload(randn([4, 3], { generator }), device)
    const weight = upload(randn([3, 5], { generator }), device)
    const compute = () => input.matmul(weight).add(1).softmax(-1).split([2, 3], 1)[1].transpose(0, 1).contiguous()
    const graph = DeviceGraph.capture(compute)
    for (let i = 0; i < 3; i++) {
      input.copy_(upload(randn([4, 3], { generator }), device))
      const before = counts()
      const result = graph.replay().toArray()
      expect(counts().replays - before.replays).toBe(1)
      expect(result).toEqual(compute().toArray())
    }
    graph.free()
  })

  it('leaves no result before a replay', () => {
    const input = upload(randn([4], { generator }), device)
    const results: Tensor[] = []
    const graph = DeviceGraph.capture(() => {
      const result = input.mul(2)
      results.push(result.view([4]).keep())
      return result
    })
    expect(results[0].isfinite().any().item()).toBe(false)
    expect(graph.replay().toArray()).toEqual(input.mul(2).toArray())
    expect(results[0].toArray()).toEqual(input.mul(2).toArray())
    graph.free()
  })

  it('writes into tensors that were there before', () => {
    const sum = zeros([3], { device })
    const buffer = zeros([4, 3], { device })
    const place = upload(tensor([2], { dtype: 'int64' }), device)
    const graph = DeviceGraph.capture(() => {
      sum.add_(1)
      return buffer.indexCopy_(0, place, sum.unsqueeze(0)).sum()
    })
    // What the capture wrote is not of interest, as CUDA writes nothing then.
    sum.zero_()
    buffer.zero_()
    graph.replay()
    place.fill_(0)
    expect(graph.replay().item()).toBe(3 + 6)
    expect(buffer.select(0, 0).toArray()).toEqual([2, 2, 2])
    graph.free()
  })

  it('frees its tensors', () => {
    const input = zeros([2], { device })
    const live = liveTensors()
    const graph = DeviceGraph.capture(() => input.add(1))
    expect(liveTensors()).toBe(live + 1)
    graph.free()
    graph.free()
    expect(liveTensors()).toBe(live)
  })
})

describe('a capture', () => {
  const x = () => zeros([2, 3], { device })
  const refused = (body: (input: Tensor) => unknown): (() => DeviceGraph) => {
    const input = x()
    return () =>
      DeviceGraph.capture(() => {
        body(input)
        return input.add(1)
      })
  }

  it.each<[string, (input: Tensor) => unknown, RegExp]>([
    ['a value that is read', (input) => input.sum().item(), /no wait for the device.*_local_scalar_dense/],
    ['a copy to the host', (input) => input.toFloat32Array(), /no wait for the device.*a copy to the host/],
    ['a size that depends on values', (input) => input.gt(0).nonzero(), /no wait for the device.*nonzero/],
    ['a copy from memory that is not pinned', (input) => input.copy_(zeros([2, 3])), /memory that is not pinned/],
    ['numbers of a generator of the host', (input) => input.uniform_(0, 1, { generator }), /no wait for the device/],
    ['another capture', () => DeviceGraph.capture(() => zeros([1], { device })), /no wait|one capture/],
  ])('refuses %s, and the device works on', (_, body, message) => {
    const capture = refused(body)
    const live = liveTensors()
    expect(capture).toThrow(message)
    expect(liveTensors()).toBe(live)
    expect(x().add(1).sum().item()).toBe(6)
    const input = x()
    const graph = DeviceGraph.capture(() => input.add(2))
    expect(graph.replay().sum().item()).toBe(12)
    graph.free()
  })

  it('may copy from pinned memory', () => {
    const graph = DeviceGraph.capture(() => Tensor.from([1, 2], { device }).mul(3))
    expect(graph.replay().toArray()).toEqual([3, 6])
    graph.free()
  })
})

it('a replay over memory that was freed is refused', () => {
  const [kept, freed] = [zeros([2], { device }), zeros([2], { device })]
  const graph = DeviceGraph.capture(() => kept.add(freed))
  expect(graph.replay().toArray()).toEqual([0, 0])
  freed.free()
  expect(() => graph.replay()).toThrow('got memory that was freed since')
  graph.free()
})

it('libtorch has graphs here, but of no CPU', () => {
  expect(hasDeviceGraphs('strict')).toBe(true)
  expect(hasDeviceGraphs('cpu')).toBe(false)
})
