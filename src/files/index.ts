// Reading files whatever they hold: paths and globs, byte streams, compression, lines, strict UTF-8, Parquet, zip, tar and XML.

export { type PackedFile, packedFiles } from './packed-files.ts'
export { parquetRowsAtOnce, readParquetMetadata, readParquetRows } from './parquet-rows.ts'
export { expandFiles } from './paths.ts'
export {
  type ByteLine,
  ByteReader,
  type ByteStream,
  type Compression,
  type DecompressOptions,
  decompressed,
  detectCompression,
  openBytes,
  splitLines,
} from './streams/index.ts'
export { tarFiles } from './tar-files.ts'
export { strictText, type TextLine, textLines, wholeFile } from './text-lines.ts'
export { type XmlElement, xmlElements } from './xml-elements.ts'
export { zipFiles } from './zip-files.ts'
