// Metrics by name, and those that a package adds.
import { describe, expect, it } from 'vitest'
import { ConfigError } from '../core/index.ts'
import { findMetric, metricDirection, metricNames, registerMetric } from './metrics.ts'

describe('metrics', () => {
  it('have a direction by their exact name, and none for an unknown name', () => {
    expect(metricDirection('loss')).toBe('lower')
    expect(metricDirection('bitsPerByte')).toBe('lower')
    expect(metricDirection('hammingLoss')).toBe('lower')
    expect(metricDirection('meanAbsoluteError')).toBe('lower')
    expect(metricDirection('accuracy')).toBe('higher')
    expect(metricDirection('rougeLsum')).toBe('higher')
    expect(metricDirection('lossless')).toBeUndefined()
    expect(findMetric('chrf++')?.unit).toBe('percent')
  })

  it('can be registered by a package, once and with one direction', () => {
    registerMetric({ name: 'wordErrorRate', direction: 'lower', unit: 'share' })
    registerMetric({ name: 'wordErrorRate', direction: 'lower' })
    expect(metricDirection('wordErrorRate')).toBe('lower')
    expect(findMetric('wordErrorRate')?.unit).toBe('share')
    expect(metricNames()).toContain('wordErrorRate')
    expect(() => registerMetric({ name: 'wordErrorRate', direction: 'higher' })).toThrow(ConfigError)
    expect(() => registerMetric({ name: 'loss', direction: 'higher' })).toThrow('Expected lower for `direction`')
    expect(() => registerMetric({ name: 'x', direction: 'up' as never })).toThrow('Expected higher or lower')
    expect(() => registerMetric({ name: ' ', direction: 'higher' })).toThrow('needs a name')
  })
})
