// Byte streams: opening, decompressing, finding delimiters, splitting into lines.
export { ByteReader } from './byte-reader.ts'
export { type ByteStream, type Compression, type DecompressOptions, detectCompression } from './compression.ts'
export { decompressed, openBytes, requireRegularFile } from './file-bytes.ts'
export { type ByteLine, splitLines } from './lines.ts'
