import { describe, expect, it } from 'vitest'
import * as root from '../../src/index.ts'
import * as api from '../../src/tensor/public.ts'

describe('the public tensor API', () => {
  it('has no internals, neither in tunesmith/tensor nor in tunesmith', () => {
    const internals = [
      'adamw_',
      'blockEmbedding',
      'blockLinear',
      'buildFacts',
      'bytesOf',
      'decoderLayers',
      'dropPacked',
      'dtypeFacts',
      'emptyCache',
      'encoderLayers',
      'finiteBlocks',
      'instructionSet',
      'keepPacked',
      'keepPackedBlocks',
      'keepUntilFreed',
      'packInt8',
      'packNf4',
      'packScales',
      'packedLinear',
      'peakRate',
      'prepareDecoderLayers',
      'prepareEncoderLayers',
      'readNativeBuild',
      'seedDefaultGenerators',
      'totalBytes',
      'unpackBlocks',
      'unpackMatrix',
      'useLargePages',
      'writeTensorFile',
    ]
    for (const name of internals) {
      expect(Object.keys(api)).not.toContain(name)
      expect(Object.keys(root)).not.toContain(name)
    }
  })

  it('turns token ids into an int64 batch', () => {
    expect(api.Tensor.from([[1, 2, 3]], { dtype: 'int64' }).shape).toEqual([1, 3])
    expect(api.tensor([1, 2]).add(1).toArray()).toEqual([2, 3])
  })
})
