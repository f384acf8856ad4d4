// One process of a run that trains only when it has the turn, so that two runs are compared step by step on one machine. Its arguments are the
// file of the recipe, the folder of turns, the name of the run and its compute threads.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { ConnectedGroup } from '../../src/distributed/index.ts'
import { type ModelVisitor, type PretrainInput, pretrain } from '../../src/runs/index.ts'
import { setThreads } from '../../src/tensor/index.ts'
import { doneFile, turnFile, turnOf, turnSteps, warmSteps } from './turns.ts'

const [file, folder, name, threads] = process.argv.slice(2)
setThreads(Number(threads))

/** Number of the turn that has ended after so many steps, the warm-up being turn 0; undefined within a turn. */
const endedTurn = (steps: number): number | undefined =>
  steps >= warmSteps && (steps - warmSteps) % turnSteps === 0 ? (steps - warmSteps) / turnSteps : undefined

const turnIs = async (number: number): Promise<void> => {
  while (readFileSync(join(folder, turnFile), 'utf8') !== turnOf(name, number)) await setTimeout(5)
}

const { gather } = ConnectedGroup.prototype
let reports = 0
ConnectedGroup.prototype.gather = async function (this: ConnectedGroup, value: unknown) {
  const all = await gather.call(this, value)
  if (this.first || typeof value !== 'object' || value === null || !('microBatches' in value)) return all
  // The others have no visitor: they pause after their gradients of the last step of a turn, as no exchange follows in it.
  const turn = endedTurn(++reports)
  if (turn !== undefined) await turnIs(turn + 1)
  return all
} as typeof gather

let [steps, began] = [0, 0]
const visitor: ModelVisitor = {
  async beforeStep() {
    const turn = endedTurn(steps++)
    if (turn === undefined) return
    writeFileSync(join(folder, doneFile(name, turn)), String((performance.now() - began) / 1000))
    await turnIs(turn + 1)
    began = performance.now()
  },
  close: async () => {},
}
await pretrain(JSON.parse(readFileSync(file, 'utf8')) as PretrainInput, { onModel: async () => visitor })
