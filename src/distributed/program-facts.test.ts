// Programs that differ are named before they work together: version, code, libtorch and addon.
import { describe, expect, it } from 'vitest'
import { PlannedGroup } from './planned-group.ts'
import { programFacts } from './program-facts.ts'

/** Two processes of which the second one has another fact. */
class UnlikeGroup extends PlannedGroup {
  readonly fact: string

  constructor(fact: string) {
    super({ rank: 0, size: 2, library: 'gloo' })
    this.fact = fact
  }

  override async gather<Value>(value: Value): Promise<Value[]> {
    return [value, { ...value, [this.fact]: 'another' }]
  }
}

describe('programFacts', () => {
  it.each(['version', 'code', 'libtorch', 'addon'])('differ where processes have another %s', async (name) => {
    const facts = await programFacts()
    expect(facts[name].length).toBeGreaterThan(3)
    await expect(new UnlikeGroup(name).expectEqual(facts)).rejects.toThrow(
      `Expected the same ${name} on every process, got ${facts[name]} on `,
    )
  })

  it('are the same in every call', async () => {
    expect(await programFacts()).toEqual(await programFacts())
  })
})
