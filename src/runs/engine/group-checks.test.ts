// Processes that would not train the same are refused before the first step, with the name of what differs and where.
import { describe, expect, it } from 'vitest'
import { PlannedGroup } from '../../distributed/index.ts'
import { zeros } from '../../tensor/index.ts'
import type { BuiltRun } from './run-kind.ts'
import { expectGroupFits } from './run-limits.ts'

/** A group whose second process says something else of one fact. */
class DifferingGroup extends PlannedGroup {
  readonly #fact: string
  facts: Record<string, string> = {}

  constructor(fact: string) {
    super({ rank: 0, size: 2, library: 'gloo' })
    this.#fact = fact
  }

  override async gather<Value>(value: Value): Promise<Value[]> {
    this.facts = value as Record<string, string>
    return [value, { ...value, [this.#fact]: 'another' }]
  }
}

const run = (more: object = {}) =>
  ({
    recipe: { device: 'cpu', batch: { sequences: 2 }, out: 'run', learningRate: 0.1, ...more },
    hashes: { 'data.jsonl': 'abc' },
    trainable: { parameters: new Map([['weight', zeros([2, 3])]]) },
  }) as unknown as BuiltRun

/** What each process tells the other of its run. */
const factsOf = async (more: object = {}): Promise<Record<string, string>> => {
  const group = new DifferingGroup('none')
  await expectGroupFits(group, run(more)).catch(() => {})
  return group.facts
}

describe('two processes', () => {
  it.each(['version', 'code', 'libtorch', 'addon', 'recipe', 'data', 'parameters', 'initial weights'])(
    'are refused with another %s',
    async (fact) => {
      await expect(expectGroupFits(new DifferingGroup(fact), run())).rejects.toThrow(
        new RegExp(`Expected the same ${fact} on every process, got \\S+ on .* and another on `),
      )
    },
  )

  it('have the same facts where only the folder differs, and other ones with another setting', async () => {
    const facts = await factsOf()
    expect(await factsOf({ out: 'elsewhere' })).toEqual(facts)
    expect(await factsOf({ learningRate: 0.2 })).toEqual({ ...facts, recipe: expect.not.stringMatching(facts.recipe) })
  })

  it('are refused with fewer rows than processes, and on another device', async () => {
    const refused = (more: object) => expect(expectGroupFits(new DifferingGroup('none'), run(more))).rejects
    await refused({ batch: { sequences: 1 } }).toThrow(/at least 2 for `batch.sequences`, one row for each process/)
    await refused({ device: 'cuda' }).toThrow(/Expected the device cpu for several processes, got cuda/)
  })
})
