// Unpadded batches: for every architecture and head, documents packed end to end with `starts` give what padded rows give, and vectors of
// texts do not depend on which texts are beside them.
import { readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { loadModelWithReport } from '../../../src/checkpoint/index.ts'
import type { HeadType } from '../../../src/models/index.ts'
import { cat, Generator, type Tensor, tensor } from '../../../src/tensor/index.ts'
import { placed, testDevice } from '../../device.ts'

const golden = join(dirname(fileURLToPath(import.meta.url)), 'golden', 'heads')
const lengths = [7, 1, 4, 8]
const longest = Math.max(...lengths)
const documents = lengths.map((length, row) => Array.from({ length }, (_, t) => 3 + ((row * 11 + t * 5) % 40)))
const onCpu = (values: number[] | number[][]) => tensor(values, { dtype: 'int64' })
const int64 = (values: number[] | number[][]) => placed(onCpu(values))

const largest = (values: Tensor): number => values.abs().max().item()

/** Rows of the padding's side, [B,T,...] -> the documents' places end to end, [1,N,...]. */
const unpad = (rows: Tensor, side: 'left' | 'right'): Tensor =>
  cat(
    lengths.map((length, row) => rows.narrow(0, row, 1).narrow(1, side === 'right' ? 0 : longest - length, length)),
    1,
  )

/** Heads of these models beside those that the class names: bare bodies, with each way of pooling. */
const views = (name: string): { head?: HeadType; pooling?: 'first' | 'last' | 'mean' }[] =>
  name.endsWith('TokenClassification')
    ? [{}, ...(['first', 'last', 'mean'] as const).map((pooling) => ({ head: 'embedding' as const, pooling }))]
    : [{}]

const names = readdirSync(golden).filter(
  (name) => !/^(M?T5|M?Bart|Deberta|MPNet)/.test(name) && !name.endsWith('MultipleChoice'),
)
const cases = names.flatMap((name) => views(name).map((view) => [name, view] as const))

describe.each(cases)('%s %j', (name, { head, pooling }) => {
  it('gives packed rows the logits of padded rows', async () => {
    const { model } = await loadModelWithReport(join(golden, name), {
      device: testDevice,
      head,
      headOptions: pooling === undefined ? {} : { pooling },
    })
    const { padTokenId: padId = 0, maxPositions } = model.config as { padTokenId?: number; maxPositions?: number }
    // RoBERTa's table has rows before the first position.
    const firstPosition = maxPositions === undefined ? 0 : maxPositions - (model.facts.maxPositions ?? maxPositions)
    const packed = model.forward({
      inputIds: int64([documents.flat()]),
      starts: onCpu([0, ...lengths.map((_, i) => lengths.slice(0, i + 1).reduce((sum, length) => sum + length))]),
    })
    for (const side of ['right', 'left'] as const) {
      // A row that is padded on the left begins later: its first vector is the padding's.
      if (side === 'left' && (pooling === 'first' || (!model.facts.causal && /Sequence|PreTraining/.test(name))))
        continue
      const pad = (ids: number[], fill: number): number[] => {
        const padding = new Array<number>(longest - ids.length).fill(fill)
        return side === 'right' ? [...ids, ...padding] : [...padding, ...ids]
      }
      const positions = documents.map((ids) =>
        pad(
          ids.map((_, t) => t + firstPosition),
          0,
        ),
      )
      const padded = model.forward({
        inputIds: int64(documents.map((ids) => pad(ids, padId))),
        attentionMask: int64(
          documents.map((ids) =>
            pad(
              ids.map(() => 1),
              0,
            ),
          ),
        ),
        positionIds: int64(positions),
      })
      const perToken = packed.logits.shape[0] === 1
      const wanted = perToken ? unpad(padded.logits, side) : padded.logits
      expect(packed.logits.shape).toEqual(wanted.shape)
      expect(largest(packed.logits.sub(wanted)) / largest(wanted), side).toBeLessThan(2e-5)
      // A head that reads first tokens alone has the last layer make no others.
      const hidden = packed.onlyRead ? padded.hidden.narrow(1, 0, 1).transpose(0, 1) : unpad(padded.hidden, side)
      expect(packed.hidden.shape).toEqual(hidden.shape)
      expect(largest(packed.hidden.sub(hidden))).toBeLessThan(2e-5 * largest(packed.hidden))
    }
  })
})

describe('an embedding head', () => {
  it('normalises embeddings with `normalize`', async () => {
    const headOptions = { pooling: 'mean' as const, normalize: true }
    const { model } = await loadModelWithReport(join(golden, 'BertForMaskedLM'), {
      device: testDevice,
      head: 'embedding',
      headOptions,
    })
    const { logits } = model.forward({ inputIds: int64([documents[0], documents[0]]) })
    const lengthsOf = logits.square().sum(-1).sqrt().toFloat32Array()
    for (const length of lengthsOf) expect(length).toBeCloseTo(1, 6)
  })
})

describe('a multiple-choice head', () => {
  it.each(['GPT2', 'Llama'])(
    'scores choices of a decoder, which transformers has no class for (%s)',
    async (family) => {
      const { model, report } = await loadModelWithReport(join(golden, `${family}ForSequenceClassification`), {
        device: testDevice,
        head: 'multiple-choice',
        newHead: true,
      })
      model.initialize({ std: 0.3, generator: new Generator(3) })
      expect(report.newHead.length).toBeGreaterThan(0)
      const inputIds = int64([documents[0].slice(0, 4), documents[3].slice(0, 4)]).view([1, 2, 4])
      const both = model.forward({ inputIds }).logits
      expect(both.shape).toEqual([1, 2])
      const swapped = model.forward({ inputIds: cat([inputIds.narrow(1, 1, 1), inputIds.narrow(1, 0, 1)], 1) }).logits
      expect(largest(both.sub(cat([swapped.narrow(1, 1, 1), swapped.narrow(1, 0, 1)], 1)))).toBeLessThan(1e-6)
      expect(() => model.forward({ inputIds: int64([[1, 2]]) })).toThrow(/Expected inputIds \[rows, choices, tokens\]/)
    },
  )
})
