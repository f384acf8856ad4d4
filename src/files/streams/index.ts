// Byte streams: opening, decompressing, finding delimiters, splitting lines.
export { ByteReader } from './byte-reader.ts'
export { type ByteStream, type Compression, type DecompressOptions, detectCompression } from './compression.ts'
export { decompressed, openBytes } from './file-bytes.ts'
export { type ByteLine, splitLines } from './lines.ts'
