// Takes features into the cache of a folder, a line for each batch, slowly enough to be killed in between.
import '../../scripts/test-device.mjs'
import { extractFeatures } from '../../src/features/index.ts'
import { setThreads } from '../../src/tensor/index.ts'
import { makeModel, sequencesOf } from './small-base.ts'

setThreads(1)
const sequences = sequencesOf(Array.from({ length: 60 }, (_, i) => 4 + (i % 9)))
await extractFeatures(makeModel('bert'), sequences, {
  layer: 'last',
  pooling: 'mean',
  identity: 'test',
  padId: 0,
  cache: process.argv[2],
  batchTokens: 16,
  shardBytes: 1,
  onProgress: (done) => console.log(done),
})
