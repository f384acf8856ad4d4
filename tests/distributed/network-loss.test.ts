// Three processes on both sides of a cable, in network namespaces: where it is unplugged all of them end within seconds and name those that they
// lost, and the run resumes to the bits of an undisturbed one. More moments, and other losses: `npm run bench -- lost-ranks`.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeSmallData, remainsOf, type SmallData, smallRecipe } from '../training/small-run.ts'
import { type Namespaces, openNamespaces, type Side } from './network-namespaces.ts'
import { lossesOf, runTogether } from './parallel-runs.ts'
import { type RunningProgram, recordedSteps, startRanksOn, until } from './rank-processes.ts'

const opened = openNamespaces()
const reason = 'reason' in opened ? opened.reason : undefined
const sides: readonly Side[] = [0, 0, 1]

describe.skipIf(reason !== undefined)(
  `a network that is lost${reason === undefined ? '' : ` (skipped: ${reason})`}`,
  () => {
    const namespaces = opened as Namespaces
    let data: SmallData
    let ranks: RunningProgram[] = []
    const env = { TUNESMITH_HEARTBEAT_SECONDS: '4', TUNESMITH_CONNECT_SECONDS: '200' }
    const recipe = (name: string) => {
      const out = join(data.root, name)
      const more = { budget: { steps: 200 }, checkpoint: { steps: 20 }, evaluate: {}, keep: {}, shard: 'gradients' }
      return { ...smallRecipe(data, out, more), out }
    }
    const codes = () => Promise.all(ranks.map(({ exitCode }) => exitCode))

    beforeAll(async () => {
      data = await makeSmallData()
      const whole = { ...recipe('whole'), command: 'pretrain' }
      expect((await runTogether(sides.length, [whole])).codes).toEqual([0, 0, 0])
    })
    afterAll(async () => {
      for (const { child } of ranks) child.kill('SIGKILL')
      await codes()
      namespaces.dispose()
      data?.dispose()
    })

    it('ends all processes by name, and the run resumes', async () => {
      const { out, ...settings } = recipe('unplugged')
      const file = `${out}.json`
      writeFileSync(file, JSON.stringify({ ...settings, out }))
      ranks = startRanksOn(namespaces, sides, ['pretrain', '--recipe', file], env)
      await until(() => recordedSteps(out) >= 45, 250, 'steps')
      const began = performance.now()
      namespaces.cut(1)
      expect(await codes(), ranks.map((rank) => rank.stderr()).join('\n')).toEqual([1, 1, 1])
      // The heartbeat, the time to stop in, and what a busy machine needs.
      expect(performance.now() - began).toBeLessThan(20_000)
      for (const [rank, one] of ranks.entries())
        expect(one.stderr()).toMatch(sides[rank] === 0 ? /Rank 2 \(.*has not answered for/ : /Rank 0 \(/)
      namespaces.mend()
      ranks = startRanksOn(namespaces, sides, ['resume', out], env)
      expect(await codes(), ranks[0].stderr()).toEqual([0, 0, 0])
      expect(ranks[0].stderr()).toMatch(/Resuming from step (?:[4-9]|1\d)\d/)
      expect(await lossesOf({ out })).toEqual(await lossesOf(recipe('whole')))
      expect(remainsOf(out)).toEqual(remainsOf(join(data.root, 'whole')))
    })
  },
)
