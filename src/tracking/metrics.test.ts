// Metrics by name, and those that a package adds.
import { describe, expect, it } from 'vitest'
import { ConfigError } from '../core/index.ts'
import { findMetric, metricDirection, metricNames, registerMetricInfo } from './metrics.ts'

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
    registerMetricInfo({ name: 'wordErrorRate', direction: 'lower', unit: 'share' })
    registerMetricInfo({ name: 'wordErrorRate', direction: 'lower' })
    expect(metricDirection('wordErrorRate')).toBe('lower')
    expect(findMetric('wordErrorRate')?.unit).toBe('share')
    expect(metricNames()).toContain('wordErrorRate')
    expect(() => registerMetricInfo({ name: 'wordErrorRate', direction: 'higher' })).toThrow(ConfigError)
    expect(() => registerMetricInfo({ name: 'loss', direction: 'higher' })).toThrow('Expected lower for `direction`')
    expect(() => registerMetricInfo({ name: 'x', direction: 'up' as never })).toThrow('Expected higher or lower')
    expect(() => registerMetricInfo({ name: ' ', direction: 'higher' })).toThrow('needs a name')
  })
})
