// Position ids of a batch, counted from the start of each row or packed document.
import { positionRow } from '../nn/index.ts'
import type { Tensor } from '../tensor/index.ts'
import type { BodyInputs } from './model.ts'

/** Position ids, int64 [1,T] or [B,T]. */
export const positionsOf = ({ inputIds, positionIds, starts, pastLength = 0 }: BodyInputs): Tensor => {
  if (positionIds !== undefined) return positionIds
  const length = inputIds.shape[1]
  const ids = new BigInt64Array(length)
  if (starts === undefined) for (let t = 0; t < length; t++) ids[t] = BigInt(t + pastLength)
  else {
    const edges = starts.to('int64').toTypedArray() as BigInt64Array
    for (let row = 0; row + 1 < edges.length; row++)
      for (let t = Number(edges[row]); t < Number(edges[row + 1]); t++) ids[t] = BigInt(t + pastLength) - edges[row]
  }
  return positionRow(ids, inputIds.device)
}
