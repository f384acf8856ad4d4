import { expect, test } from 'vitest'
import { crc32c, frameRecord, maskedCrc32c } from './tensorboard.ts'

test('CRC-32C gives the values of RFC 3720, B.4', () => {
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa)
  expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43)
  expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i))).toBe(0x46dd794e)
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283)
})

test('a record is its length, a checksum, the data and a checksum', () => {
  const frame = frameRecord(Buffer.from('abc'))
  expect(frame.length).toBe(19)
  expect(frame.readBigUInt64LE(0)).toBe(3n)
  expect(frame.subarray(12, 15).toString()).toBe('abc')
  const crc = crc32c(Buffer.from('abc'))
  expect(frame.readUInt32LE(15)).toBe(maskedCrc32c(Buffer.from('abc')))
  expect(maskedCrc32c(Buffer.from('abc'))).toBe(
    (Math.floor(crc / 2 ** 15) + (crc % 2 ** 15) * 2 ** 17 + 0xa282ead8) % 2 ** 32,
  )
})
