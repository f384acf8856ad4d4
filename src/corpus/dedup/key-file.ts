// Parquet files of keys that workers write and the SQL reads: one row per document or line, in the order added.

import { open, rename, rm, stat } from 'node:fs/promises'
import { fileWriter, ParquetWriter, schemaFromColumnData } from 'hyparquet-writer'
import { sha256File } from '../../core/index.ts'

type ColumnType = 'INT32' | 'INT64' | 'DOUBLE' | 'STRING'
type ColumnValues = Int32Array | BigInt64Array | Float64Array | string[]

/** Types by column name, in the order of the values of a row. */
export type KeyColumns = Readonly<Record<string, ColumnType>>

/** One value per column. */
export type KeyRow = readonly (bigint | number | string)[]

/** Size and hash of a finished file. */
export interface WrittenKeyFile {
  rows: number
  /** Bytes on disk. */
  bytes: number
  sha256: string
}

const rowsPerGroup = 8192

const allocate: Record<ColumnType, () => ColumnValues> = {
  INT32: () => new Int32Array(rowsPerGroup),
  INT64: () => new BigInt64Array(rowsPerGroup),
  DOUBLE: () => new Float64Array(rowsPerGroup),
  STRING: () => new Array<string>(rowsPerGroup).fill(''),
}

/**
 * Writes rows group by group in bounded memory; `path` exists only after `close` has synchronised all of it to disk.
 */
export class KeyFileWriter {
  readonly #partial: string
  readonly #names: readonly string[]
  readonly #types: readonly ColumnType[]
  readonly #values: readonly ColumnValues[]
  readonly #parquet: ParquetWriter
  #pending = 0
  #rows = 0
  #open = true

  constructor(
    readonly path: string,
    columns: KeyColumns,
  ) {
    this.#partial = `${path}.partial`
    this.#names = Object.keys(columns)
    this.#types = Object.values(columns)
    this.#values = this.#types.map((type) => allocate[type]())
    this.#parquet = new ParquetWriter({
      writer: fileWriter(this.#partial),
      schema: schemaFromColumnData({ columnData: this.#columnData(0) }),
      statistics: false,
      // Hashes do not compress, and the files are read once.
      codec: 'UNCOMPRESSED',
    })
  }

  /** Adds a row with one value per column. */
  add(row: KeyRow): void {
    for (let i = 0; i < row.length; i++) (this.#values[i] as (bigint | number | string)[])[this.#pending] = row[i]
    this.#rows++
    if (++this.#pending === rowsPerGroup) this.#flush()
  }

  async close(): Promise<WrittenKeyFile> {
    this.#flush()
    await this.#parquet.finish()
    this.#open = false
    const file = await open(this.#partial, 'r+')
    await file.sync()
    await file.close()
    await rename(this.#partial, this.path)
    return { rows: this.#rows, bytes: (await stat(this.path)).size, sha256: await sha256File(this.path) }
  }

  /** Removes the unfinished file; does nothing after `close`. */
  async abort(): Promise<void> {
    if (!this.#open) return
    this.#open = false
    try {
      // Only `finish` closes the library's file descriptor.
      await this.#parquet.finish()
    } catch {
      // The disk may be full; the file is removed below in any case.
    }
    await rm(this.#partial, { force: true })
  }

  #columnData(rows: number) {
    return this.#names.map((name, i) => ({
      name,
      type: this.#types[i],
      data: this.#values[i].slice(0, rows) as Int32Array | BigInt64Array | Float64Array | string[],
      nullable: false,
      offsetIndex: false,
      encoding: 'PLAIN' as const,
    }))
  }

  #flush(): void {
    if (this.#pending === 0) return
    void this.#parquet.write({ columnData: this.#columnData(this.#pending), rowGroupSize: rowsPerGroup })
    this.#pending = 0
  }
}
