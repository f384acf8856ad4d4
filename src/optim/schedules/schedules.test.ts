// What holds for every schedule of the registry, at any setting. Values are compared with transformers' in tests/parity/optim.
import { readdirSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ConfigError, parseConfig } from '../../core/index.ts'
import { type ScheduleConfig, type ScheduleDefinition, scheduleAt, scheduleSchema, schedules } from './index.ts'
import { warmupLength } from './schedule.ts'

const configOf = (value: object): ScheduleConfig => parseConfig(scheduleSchema, value, 'schedule')

it('the registry of schedules has every file', () => {
  const files = readdirSync(import.meta.dirname).filter((name) => !/index|schedule\.ts|decay-to-floor|test/.test(name))
  expect(files.map((name) => name.slice(0, -3)).sort()).toEqual(Object.keys(schedules).sort())
})

const totals = fc.integer({ min: 1, max: 400 })
const warmups = fc.oneof(
  fc.record({ warmupSteps: fc.integer({ min: 0, max: 500 }) }),
  fc.record({ warmupShare: fc.double({ min: 0, max: 1, noNaN: true }) }),
)
const floors = fc.record({ floor: fc.double({ min: 0, max: 1, noNaN: true }) })
const rest: Record<string, fc.Arbitrary<object>> = {
  cosine: floors,
  linear: floors,
  'cosine-restarts': fc
    .tuple(floors, fc.record({ cycles: fc.integer({ min: 2, max: 9 }) }))
    .map(([a, b]) => ({ ...a, ...b })),
  polynomial: fc
    .tuple(floors, fc.record({ power: fc.double({ min: 0.1, max: 4, noNaN: true }) }))
    .map(([a, b]) => ({ ...a, ...b })),
  'inverse-square-root': fc.record({ timescale: fc.integer({ min: 1, max: 1000 }) }, { requiredKeys: [] }),
  'warmup-stable-decay': fc
    .tuple(
      floors,
      fc.oneof(
        fc.record({ decaySteps: fc.integer({ min: 1, max: 500 }) }),
        fc.record({ decayShare: fc.double({ min: 0.01, max: 1, noNaN: true }) }),
        fc.constant({}),
      ),
      fc.record({ decayShape: fc.constantFrom('linear', '1-sqrt', 'cosine') }),
    )
    .map((parts) => Object.assign({}, ...parts)),
}
/** Schedules that rise again. */
const restarts = ['cosine-restarts']
const endsAtFloor = ['cosine', 'cosine-restarts', 'linear', 'polynomial', 'warmup-stable-decay']

describe.each(Object.entries(schedules) as [string, ScheduleDefinition][])('%s', (type, definition) => {
  const configs = fc.tuple(warmups, rest[type] ?? fc.constant({})).map(([a, b]) => configOf({ type, ...a, ...b }))

  it('has type, source and summary', () => {
    expect(definition.type).toBe(type)
    expect(definition.summary).toMatch(/^[A-Z].*\.$/)
    expect(definition.source).toMatch(/transformers/)
    expect(() => configOf({ type, warmupStep: 3 })).toThrow(/Did you mean/)
    expect(() => configOf({ type, warmupSteps: 3, warmupShare: 0.1 })).toThrow(
      /`warmupSteps` or `warmupShare`, got both/,
    )
  })

  it('rises linearly from 0 to the peak, then falls, and stays between 0 and 1', () => {
    fc.assert(
      fc.property(configs, totals, (config, totalSteps) => {
        const warmup = warmupLength(config, totalSteps)
        const at = (step: number) => scheduleAt(config, { step, totalSteps })
        const values = Array.from({ length: totalSteps + 20 }, (_, step) => at(step))
        const isRight = (value: number, step: number) =>
          value >= 0 &&
          value <= 1 &&
          (step < warmup
            ? value === step / warmup
            : step === warmup || restarts.includes(type) || value <= values[step - 1] + 1e-15)
        expect(values.findIndex((value, step) => !isRight(value, step))).toBe(-1)
        if (warmup < totalSteps) expect(at(warmup)).toBeCloseTo(1, 12)
        if (endsAtFloor.includes(type) && warmup <= totalSteps) {
          const { floor } = config as unknown as { floor: number }
          // With no step after warmup there is no decay; the next step is at the floor.
          expect(at(totalSteps + 1)).toBeCloseTo(floor, 12)
          if (warmup < totalSteps) expect(at(totalSteps)).toBeCloseTo(floor, 12)
        }
        // A pure function: asked again and in another order it says the same.
        for (const step of [totalSteps, 0, warmup])
          expect(at(step)).toBe(scheduleAt({ ...config }, { step, totalSteps }))
      }),
      { numRuns: 100 },
    )
  })

  it('needs the length of the run only where it depends on it', () => {
    const endless = { step: 3, totalSteps: Number.POSITIVE_INFINITY }
    const asks = endsAtFloor.includes(type)
    if (asks) expect(() => scheduleAt(configOf({ type }), endless)).toThrow(/needs a run of known length/)
    else expect(scheduleAt(configOf({ type, warmupSteps: 3 }), endless)).toBe(1)
    expect(() => scheduleAt(configOf({ type, warmupShare: 0.5 }), endless)).toThrow(ConfigError)
    for (const step of [-1, Number.NaN, Number.POSITIVE_INFINITY])
      expect(() => scheduleAt(configOf({ type }), { step, totalSteps: 9 })).toThrow(ConfigError)
    for (const totalSteps of [0, -1, Number.NaN])
      expect(() => scheduleAt(configOf({ type }), { step: 0, totalSteps })).toThrow(ConfigError)
  })
})

it('accepts one length of decay only', () => {
  expect(() => configOf({ type: 'warmup-stable-decay', decaySteps: 3, decayShare: 0.1 })).toThrow(/got both/)
})
