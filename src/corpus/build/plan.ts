// Splits a build into tasks: groups of small files, single large files, and groups of finished pieces for the final
// parts. A pure function of the inputs, so that the number of workers cannot change the output.

import type { InputFile } from './inputs.ts'

/** Files that one worker reads and filters in one task. */
interface FileGroup {
  kind: 'group'
  inputs: InputFile[]
}

/** A file that is first read into segments, which are then filtered by all workers. */
interface LargeFile {
  kind: 'large'
  input: InputFile
}

export type Piece = FileGroup | LargeFile

export interface PlanSizes {
  /** Maximum bytes on disk of the files of one group. */
  groupBytes: number
  /** Size on disk from which a file is split into segments. */
  largeFileBytes: number
}

const maxFilesInGroup = 1000

/** The pieces in the order of the inputs. */
export const planPieces = (inputs: readonly InputFile[], { groupBytes, largeFileBytes }: PlanSizes): Piece[] => {
  const pieces: Piece[] = []
  let group: InputFile[] = []
  let size = 0
  const closeGroup = () => {
    if (group.length > 0) pieces.push({ kind: 'group', inputs: group })
    group = []
    size = 0
  }
  for (const input of inputs) {
    if (input.bytes >= largeFileBytes) {
      closeGroup()
      pieces.push({ kind: 'large', input })
      continue
    }
    if (group.length > 0 && (size + input.bytes > groupBytes || group.length >= maxFilesInGroup)) closeGroup()
    group.push(input)
    size += input.bytes
  }
  closeGroup()
  return pieces
}

/** Groups consecutive items so that each group's size is at most `limit`, or it has one item. */
export const groupBySize = <Item>(items: readonly Item[], sizeOf: (item: Item) => number, limit: number): Item[][] => {
  const groups: Item[][] = []
  let size = 0
  for (const item of items) {
    const itemSize = sizeOf(item)
    const last = groups.at(-1)
    if (last === undefined || size + itemSize > limit) {
      groups.push([item])
      size = itemSize
    } else {
      last.push(item)
      size += itemSize
    }
  }
  return groups
}
