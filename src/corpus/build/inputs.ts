// The files of all sources in a fixed order, with their sizes and hashes, and how a build is split into tasks: groups of
// small files, single large files, and groups of finished pieces for the final parts. The tasks depend on the inputs only,
// so that the number of workers cannot change the output.

import { ConfigError, DataError, sha256File } from '../../core/index.ts'
import { requireRegularFile } from '../../files/index.ts'

/** A source with all defaults, as in the manifest. */
export interface ResolvedSource {
  kind: string
  /** Path as given: a file, a folder, a glob or a list. */
  path: string
  options: Record<string, unknown>
}

export interface InputFile {
  /** Index into the build's sources. */
  source: number
  path: string
  bytes: number
  /** Null when the path is not a local file; then the path alone identifies it. */
  sha256: string | null
  /** Where a process with another working folder finds the file (default: `path`). */
  location?: string
}

export interface ListOptions {
  expand: (source: ResolvedSource, number: number) => Promise<{ paths: string[]; local: boolean }>
  /** Size and SHA-256 of inputs that were hashed where they are. */
  known?: ReadonlyMap<string, Pick<InputFile, 'bytes'> & { sha256: string }>
  signal?: AbortSignal | undefined
  onProgress?: (bytes: number) => void
}

/**
 * Every input in the order of the sources and, within a source, of `expand`.
 * @throws ConfigError for a path in two sources, whose documents would count twice, DataError for a path that is no
 * file
 */
export const listInputs = async (
  sources: readonly ResolvedSource[],
  { expand, known, signal, onProgress }: ListOptions,
): Promise<InputFile[]> => {
  const seen = new Map<string, number>()
  const found: { source: number; path: string; local: boolean }[] = []
  for (const [source, resolved] of sources.entries()) {
    const { paths, local } = await expand(resolved, source)
    if (paths.length === 0) {
      throw new DataError(`Expected files for \`source\` ${resolved.kind}:${resolved.path}, got none. Check the path.`)
    }
    for (const path of paths) {
      const earlier = seen.get(path)
      if (earlier !== undefined) {
        throw new ConfigError(
          `Expected each input once, got ${path} from source ${earlier + 1} and source ${source + 1}. Remove one.`,
        )
      }
      seen.set(path, source)
      found.push({ source, path, local })
    }
  }
  const inputs: InputFile[] = []
  let hashed = 0
  for (const { source, path, local } of found) {
    signal?.throwIfAborted()
    const file = known?.get(path)
    if (file !== undefined) {
      inputs.push({ source, path, ...file })
      continue
    }
    if (!local) {
      inputs.push({ source, path, bytes: 0, sha256: null })
      continue
    }
    const { size } = await requireRegularFile(path)
    inputs.push({ source, path, bytes: size, sha256: await sha256File(path, signal) })
    onProgress?.((hashed += size))
  }
  return inputs
}

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
