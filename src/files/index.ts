// Reading files of any format: paths and globs, byte streams, compression, lines, strict UTF-8, delimited values,
// Parquet, zip, tar and XML.

export { type DelimitedOptions, DelimitedParser, parseDelimited, STRAY_TEXT } from './delimited.ts'
export { type PackedFile, packedFiles, tarFiles, zipFiles } from './packed-files.ts'
export { type ParquetRange, parquetBatchRows, readParquetMetadata, readParquetRows } from './parquet-rows.ts'
export {
  arrowAdvice,
  expandFiles,
  filePattern,
  globBase,
  isArrowFile,
  isGlob,
  listEntries,
  matchesExtension,
  schemeOf,
} from './paths.ts'
export { isOfSplit, splitOfPath, splitWords } from './split-names.ts'
export {
  type ByteLine,
  ByteReader,
  type ByteStream,
  type Compression,
  type DecompressOptions,
  decompressed,
  detectCompression,
  openBytes,
  requireRegularFile,
  splitLines,
} from './streams/index.ts'
export { decodeUtf8, strictText, type TextLine, textLines } from './text-lines.ts'
export { type WholeFileOptions, wholeFile, wholeStream } from './whole-file.ts'
export { type XmlElement, xmlElements } from './xml-elements.ts'
