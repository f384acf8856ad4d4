import { expect, it } from 'vitest'
import { formatBytes, formatCount, formatDuration, formatPreciseDuration } from './format.ts'

it('formats bytes', () => {
  expect([0, 12, 1023, 1024, 1536, 310 * 2 ** 20, 1.5 * 2 ** 30, -2048, 1023.9 * 1024].map(formatBytes)).toEqual([
    '0 B',
    '12 B',
    '1023 B',
    '1 KiB',
    '1.5 KiB',
    '310 MiB',
    '1.5 GiB',
    '-2 KiB',
    '1 MiB',
  ])
})

it('formats counts', () => {
  expect([0, 950, 1000, 12_345, 124_439_808, 999_600, 1.24e9, 0.5, 7e15].map(formatCount)).toEqual([
    '0',
    '950',
    '1k',
    '12k',
    '124M',
    '1M',
    '1.2B',
    '0.50',
    '7000T',
  ])
})

it('formats durations', () => {
  const cases = [
    0,
    850,
    999.6,
    12_340,
    59_960,
    245_000,
    7_980_000,
    86_400_000 * 3 + 14_400_000,
    Number.POSITIVE_INFINITY,
  ]
  expect(cases.map(formatDuration)).toEqual([
    '0 ms',
    '850 ms',
    '1.0 s',
    '12.3 s',
    '1 min 00 s',
    '4 min 05 s',
    '2 h 13 min',
    '3 d 4 h',
    'unknown',
  ])
})

it('formatPreciseDuration has three significant digits below 10 ms', () => {
  const cases = [0, 0.04123, 1.404, 2.3651, 9.994, 9.996, 12.4, 12_340]
  expect(cases.map(formatPreciseDuration)).toEqual([
    ...['0 ms', '0.0412 ms', '1.4 ms', '2.37 ms', '9.99 ms', '10 ms', '12 ms', '12.3 s'],
  ])
})
