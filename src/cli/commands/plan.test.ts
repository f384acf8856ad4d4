// Options of plans that are texts with units.
import { describe, expect, it } from 'vitest'
import { parseBandwidth, parseLimits } from './plan.ts'

describe('parseBandwidth', () => {
  it.each([
    ['100Gb', 12.5e9],
    ['12.5GB', 12.5e9],
    [' 800Mb ', 1e8],
    ['56Kb', 7000],
    ['1.6Tb', 2e11],
  ])('%s: bits and bytes a second', (text, bytes) => {
    expect(parseBandwidth(text)).toBeCloseTo(bytes)
  })

  it.each(['100', 'Gb', '0Gb', '-1Gb', '100gb', '100 Gb', '100Gb/s', '1e3Gb', ''])('refuses "%s"', (text) => {
    expect(() => parseBandwidth(text)).toThrow(/Expected gigabits \(100Gb\) or gigabytes \(12.5GB\) a second/)
  })
})

describe('parseLimits', () => {
  it('takes limits of memory, time and money', () => {
    expect(parseLimits('memory=16GB, hours=8,money=2.5')).toEqual({ memory: 16e9, hours: 8, money: 2.5 })
    expect(parseLimits('memory=1000')).toEqual({ memory: 1000 })
  })

  it.each(['memory', 'memory=16gb', 'hours=8GB', 'steps=3', ''])('refuses "%s"', (text) => {
    expect(() => parseLimits(text)).toThrow(/Expected memory=BYTES, hours=NUMBER or money=NUMBER for `fit`/)
  })
})
